"""What `confirm` and `attribute` print."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli import aftermath, main
from appliance.records import Confirmation, Estimate, NightState
from appliance.workflows.opening import Aftermath

ESTIMATE = Estimate(
    split="test",
    baseline_mean=2.0,
    winner_mean=1.9,
    difference=-0.1,
    interval_low=-0.12,
    interval_high=-0.08,
    relative=-0.05,
    relative_low=-0.06,
    relative_high=-0.04,
    pairs=8,
    method="in a test",
    holds=True,
)
CARRIES = {
    "change": "a narrower net",
    "experiment": 3,
    "runs": 4,
    "loss": 0.04,
    "interval_low": 0.03,
    "interval_high": 0.05,
    "share": 0.8,
    "carries": True,
    "reading": "carries gain",
    "note": None,
}
OVERTAKEN = {**dict.fromkeys(CARRIES), "change": "half as wide", "experiment": 1, "runs": 0, "note": "cannot be taken out alone"}


def _done(*, interrupted: bool = False) -> Aftermath:
    state = NightState(phase="end", confirmation=Confirmation(status="confirmed", estimates=[ESTIMATE]), attribution=[CARRIES, OVERTAKEN])
    return Aftermath(folder=Path("nights/n"), page=Path("nights/n/report.html"), interrupted=interrupted, state=state)


def test_a_confirmation_is_a_sentence_and_its_intervals(capsys: pytest.CaptureFixture[str]):
    assert aftermath.told(_done(), "confirmation", as_json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "confirmed"
    assert lines[2].split() == ["test", "8", "-0.10000", "-0.12000", "to", "-0.08000"]
    assert lines[-1] == "the page: nights/n/report.html"


def test_an_attribution_says_what_carries_and_what_could_not_be_measured(capsys: pytest.CaptureFixture[str]):
    assert aftermath.told(_done(interrupted=True), "attribution", as_json=False) == 130
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "3 4 +0.04000 +0.03000 to +0.05000 80% carries gain a narrower net"
    assert lines[2] == "1 0 – – – cannot be taken out alone half as wide"


@pytest.mark.parametrize("what", ["confirmation", "attribution"])
def test_programs_read_json(what: str, capsys: pytest.CaptureFixture[str]):
    aftermath.told(_done(), what, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["interrupted"] is False
    assert answer[what]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["confirm", "no-such-night"], "no-such-night"),
        (["attribute", "no-such-night", "--hours", "1"], "no-such-night"),
        (["attribute"], "--hours"),
        (["attribute", "--hours", "nan"], "hours"),
        (["confirm", "--pairs", "0"], "--pairs"),
    ],
)
def test_what_cannot_be_asked_is_exit_2(arguments: list[str], said: str):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.output
