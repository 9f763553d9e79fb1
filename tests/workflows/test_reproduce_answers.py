"""What a reproduction answers, over an execution that is a formula."""

import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
from reproduce_help import CPU, CURVE, OTHER, Formula, asset, disturbed, failing, mean, workplace, write_bundle

from appliance import exchange, tasks
from appliance.errors import ApplianceError
from appliance.exchange import Reproduction
from appliance.records import Confirmation, Device, Reason
from appliance.workflows.pairs import Pairs, Side
from appliance.workflows.progress import Silent
from appliance.workflows.reproduce import fresh_seeds, measure


def answered(file: Path, execution: Formula | None = None, device: Device = CPU, pairs: int = 4) -> Reproduction:
    return measure(exchange.open_bundle(file), workplace(device), execution or Formula(), pairs, Silent())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "b.tar")


@pytest.mark.parametrize("pairs", [2, 4, 9])
def test_the_same_assets_on_the_same_class_reproduce(bundle: Path, pairs: int):
    result = answered(bundle, pairs=pairs)
    assert result.answer == "reproduced", result.sentence
    assert len(result.runs) == 2 * pairs
    assert result.measured is not None
    assert result.predicted is not None
    assert result.measured.difference == pytest.approx(mean(result.runs, "winner") - mean(result.runs, "baseline"))
    assert result.predicted[0] < result.measured.difference < result.predicted[1]
    assert result.differs == ["the image is built here from another Dockerfile and requirements.txt"]


def test_another_winner_does_not_reproduce_and_the_answer_says_by_how_much(tmp_path: Path):
    winner = asset(tasks.load(str(CURVE)), WAVES=3)
    result = answered(write_bundle(tmp_path / "b.tar", winner=winner))
    assert result.answer == "not reproduced"
    assert result.measured is not None
    assert result.predicted is not None
    beyond = result.measured.difference - result.predicted[1]
    assert beyond > 0.15
    assert f"{beyond:.5f} beyond it, on the worse side" in result.sentence


def test_a_difference_that_is_larger_than_declared_does_not_reproduce_either(tmp_path: Path):
    worse = asset(tasks.load(str(CURVE)), WAVES=12)
    result = answered(write_bundle(tmp_path / "b.tar", baseline=worse))
    assert result.answer == "not reproduced"
    assert "on the better side" in result.sentence


def test_another_class_of_device_is_not_comparable_and_the_numbers_are_there(bundle: Path):
    result = answered(bundle, device=OTHER)
    assert result.answer == "not comparable"
    assert result.measured is not None
    assert "another class of device (A CPU)" in result.sentence
    assert f"{result.measured.difference:+.5f}" in result.sentence


def test_the_same_name_with_other_cores_is_another_class(bundle: Path):
    assert answered(bundle, device=msgspec.structs.replace(CPU, cores=4)).answer == "not comparable"


def test_a_winner_that_was_never_confirmed_declares_nothing(tmp_path: Path):
    file = write_bundle(tmp_path / "b.tar", confirmation=Confirmation(status="not_run"), pairs=[])
    result = answered(file)
    assert result.answer == "not comparable"
    assert "declares no interval" in result.sentence


def test_a_winner_that_fails_here_is_not_reproduced_and_its_words_cannot_write_to_a_terminal(bundle: Path):
    result = answered(bundle, Formula(failing(Reason.OUT_OF_MEMORY, waves=5)))
    assert result.answer == "not reproduced"
    assert "the winner does not run here: out_of_memory" in result.sentence
    assert "\x1b" not in result.sentence
    assert result.measured is None
    assert [run.status for run in result.runs] == ["ok", "failed"]


def test_a_winner_that_fails_on_another_class_says_nothing_of_the_claim(bundle: Path):
    assert answered(bundle, Formula(failing(Reason.OUT_OF_MEMORY, waves=5)), device=OTHER).answer == "not comparable"


def test_a_wide_prediction_does_not_let_no_gain_at_all_pass(tmp_path: Path):
    opened = exchange.open_bundle(write_bundle(tmp_path / "b.tar"))
    offsets = (0.3, -0.3, 0.3, -0.3)
    wide = [msgspec.structs.replace(pair, baseline=0.6 + off) for pair, off in zip(opened.manifest.pairs, offsets, strict=True)]
    estimate = opened.manifest.expected
    assert estimate is not None
    difference = sum(pair.winner - pair.baseline for pair in wide) / 4
    claim = msgspec.structs.replace(estimate, difference=difference, holds=True)
    same = asset(tasks.load(str(CURVE)), WAVES=1, STEP=0.11)
    file = write_bundle(tmp_path / "b.tar", winner=same, pairs=wide, confirmation=Confirmation(status="confirmed", estimates=[claim]))
    results = [answered(file) for _ in range(8)]
    for result in results:
        assert result.measured is not None
        assert result.predicted is not None
        assert result.predicted[0] < result.measured.difference < result.predicted[1]
        assert result.answer == ("reproduced" if result.measured.difference < 0 else "not reproduced")


def test_seeds_are_fresh_shared_by_a_pair_and_the_order_alternates(bundle: Path):
    execution = Formula()
    answered(bundle, execution)
    used = {pair.seed for pair in exchange.open_bundle(bundle).manifest.pairs}
    seeds = [request.seed for request in execution.requests]
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == 4
    assert not used & set(seeds)
    waves = [tasks.read_constants(request.files)["WAVES"] for request in execution.requests]
    assert waves == [1, 5, 5, 1, 1, 5, 5, 1]
    assert all(request.splits == ("test",) for request in execution.requests)


def test_used_seeds_are_never_drawn_again(monkeypatch: pytest.MonkeyPatch):
    draws = iter([3, 3, 5, 5, 4])
    monkeypatch.setattr("secrets.randbelow", lambda _limit: next(draws))
    assert fresh_seeds(2, [3]) == [5, 4]


def test_start_up_beyond_the_baselines_is_taken_off_as_in_a_night(bundle: Path):
    execution = Formula()
    answered(bundle, execution, pairs=2)
    assert [request.startup_calibrated_s for request in execution.requests] == [None, *[pytest.approx(0.2)] * 3]


def test_a_disturbed_run_is_repeated_and_does_not_count(bundle: Path):
    opened, work, waited = exchange.open_bundle(bundle), workplace(), []
    pairs = Pairs(
        execution=Formula(disturbed(2)),
        corpus=work.first,
        throughput_name="sweeps_per_s",
        baseline=Side("baseline", opened.baseline),
        winner=Side("winner", opened.winner),
        progress=Silent(),
        sleep=waited.append,
    )
    assert pairs.run([1, 2]) is None
    assert [run.status for run in pairs.runs] == ["invalid", "invalid", *["ok"] * 4]
    assert len(pairs.baseline.scores) == len(pairs.winner.scores) == 2
    assert waited == [5.0, 10.0]


def test_a_machine_that_never_becomes_calm_is_an_error_and_no_answer(bundle: Path):
    opened, work = exchange.open_bundle(bundle), workplace()
    pairs = Pairs(
        execution=Formula(disturbed(99)),
        corpus=work.first,
        throughput_name=None,
        baseline=Side("baseline", opened.baseline),
        winner=Side("winner", opened.winner),
        progress=Silent(),
        sleep=lambda _seconds: None,
    )
    with pytest.raises(ApplianceError, match="too busy to measure on"):
        pairs.run([1])
    assert pairs.baseline.scores == []


def test_the_record_of_a_reproduction_is_plain_json_with_everything_it_rests_on(bundle: Path):
    result = answered(bundle)
    text = msgspec.json.encode(result)
    assert msgspec.json.decode(text, type=Reproduction) == result
    jsonschema.validate(json.loads(text), msgspec.json.schema(Reproduction))


@pytest.mark.parametrize(
    ("device", "outcome", "child"),
    [(CPU, None, None), (OTHER, None, "skipped"), (CPU, failing(Reason.CRASH, waves=5), "failure")],
)
def test_junit_says_it_the_way_ci_reads_it(bundle: Path, device: Device, outcome, child: str | None):
    result = answered(bundle, Formula(outcome) if outcome else None, device)
    document = exchange.junit("b\x00.tar", result.answer, result.sentence, result.wall_s, result.started_at)
    (suite,) = ElementTree.fromstring(document)
    (case,) = suite.findall("testcase")
    assert suite.attrib | {"time": "", "timestamp": ""} == {
        "name": "appliance reproduce",
        "tests": "1",
        "failures": str(int(child == "failure")),
        "errors": "0",
        "skipped": str(int(child == "skipped")),
        "time": "",
        "timestamp": "",
    }
    assert [element.tag for element in case] == [*([child] if child else []), "system-out"]
    if child:
        assert case[0].get("message") == result.sentence
    assert case[-1].text == f"{result.answer}: {result.sentence}"


def test_the_report_holds_every_run_and_no_markup_of_a_strangers(bundle: Path):
    result = msgspec.structs.replace(answered(bundle), sentence="<img src=x> | [a](b)")
    page = exchange.markdown(result)
    assert page.startswith("# reproduced\n")
    assert sum(line.startswith(("| 1 |", "| 2 |", "| 3 |", "| 4 |")) for line in page.splitlines()) == 8
    assert "<img" not in page.replace("\\<", "")
    assert "](b)" not in page.replace("\\]", "")
