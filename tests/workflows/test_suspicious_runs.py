"""A run that cannot be what it says: void and repeated with another seed the first time, rejected the second, through the real loop."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import simulated_night
from simulated_night import Simulation

from appliance import ledger, tasks
from appliance.errors import UsageError
from appliance.ledger import Disk
from appliance.records import Night, Plausible, Reason, Run, Score, Task, Verdict
from appliance.workflows import overnight
from appliance.workflows.clock import Clock
from appliance.workflows.execution import RunOutcome, RunRequest
from appliance.workflows.progress import Silent

Forge = Callable[[RunRequest, RunOutcome, int], RunOutcome]
"""(request, honest outcome, how often this asset ran before) → what it hands over."""


class Forging:
    """The simulated trainer, whose proposals with a WIDTH of 9 say what `forge` makes of it."""

    def __init__(self, forge: Forge) -> None:
        self._honest = simulated_night.SimulatedExecution(Disk(), pause_s=0.0, curve_points=2)
        self._forge = forge
        self.forged = 0

    def run(self, request: RunRequest) -> RunOutcome:
        """An honest run, or a forged one."""
        outcome = self._honest.run(request)
        if tasks.read_constants(request.files)["WIDTH"] != 9:
            return outcome
        self.forged += 1
        return self._forge(request, outcome, self.forged - 1)


def claims(outcome: RunOutcome, **observables: float) -> RunOutcome:
    return dataclasses.replace(outcome, observables={**outcome.observables, **observables})


def bounded(task: Task) -> Task:
    """The toy with a floor, and steps that take a millisecond at least."""
    metric = msgspec.structs.replace(task.metric, plausible_floor=1.0)
    row = Plausible(claims=["steps"], limits=["clock_s"], times=1000.0)
    return msgspec.structs.replace(task, metric=metric, plausible={"steps_beyond_clock": row})


@pytest.fixture
def live(tmp_path: Path) -> Callable[[Forge], Night]:
    """A night of one proposal, of WIDTH 9."""

    def go(forge: Forge) -> Night:
        text = (simulated_night.TOY / "asset.py").read_text()
        proposal = tmp_path / "proposal.py"
        proposal.write_text(tasks.replace_constants({"asset.py": text}, {"WIDTH": 9})["asset.py"])
        place = simulated_night.workplace(tmp_path)
        place = dataclasses.replace(place, loaded=dataclasses.replace(place.loaded, task=bounded(place.loaded.task)))
        plan, baseline = simulated_night.plan_of(Simulation(root=tmp_path, replay=(proposal,)), place)
        with ledger.create(tmp_path, plan, [baseline], reserve_bytes=0, heartbeat_s=0) as book:
            overnight.work(book, place, Forging(forge), Silent(), Clock(1e9))
        return ledger.read(book.folder)

    return go


def runs_of_the_proposal(night: Night) -> list[Run]:
    return [run for run in night.runs if run.experiment == 1]


def test_a_run_that_claims_the_impossible_twice_is_rejected_with_the_reason(live: Callable[[Forge], Night]) -> None:
    night = live(lambda _request, outcome, _times: claims(outcome, steps=1e9))
    first, second = runs_of_the_proposal(night)
    assert (first.status, first.reason, first.suspicious) == ("invalid", Reason.SUSPICIOUS, ["steps_beyond_clock"])
    assert (second.status, second.reason, second.suspicious) == ("rejected", Reason.SUSPICIOUS, ["steps_beyond_clock"])
    assert first.seed != second.seed
    assert (first.score, second.score) == (None, None)
    (experiment,) = night.experiments
    assert experiment.verdict is Verdict.REJECTED
    assert experiment.reason is not None
    assert experiment.reason.startswith("suspicious: steps_beyond_clock: steps is 1e+09")
    assert (experiment.runs, experiment.runs_invalid, experiment.incumbent) == ([second.run], [first.run], 0)


def test_a_score_that_nobody_reaches_is_not_kept(live: Callable[[Forge], Night]) -> None:
    night = live(lambda _request, outcome, _times: dataclasses.replace(outcome, scores=[Score(split="val", score=0.2)]))
    assert [run.suspicious for run in runs_of_the_proposal(night)] == [["score_beyond_floor"]] * 2
    assert night.experiments[0].verdict is Verdict.REJECTED


def test_one_suspicious_run_is_repeated_and_forgiven(live: Callable[[Forge], Night]) -> None:
    night = live(lambda _request, outcome, times: claims(outcome, steps=1e9) if times == 0 else outcome)
    first, *others = runs_of_the_proposal(night)
    assert first.status == "invalid"
    assert {run.status for run in others} == {"ok"}
    assert night.experiments[0].verdict in (Verdict.KEPT, Verdict.WITHIN_NOISE, Verdict.WORSE)


def test_suspicion_is_not_forgiven_twice_in_a_night(live: Callable[[Forge], Night]) -> None:
    night = live(lambda _request, outcome, times: claims(outcome, steps=1e9) if times in (0, 2) else outcome)
    assert [run.status for run in runs_of_the_proposal(night)] == ["invalid", "ok", "rejected"]
    assert night.experiments[0].verdict is Verdict.REJECTED


def test_an_honest_run_that_is_faster_than_all_before_is_no_suspect(live: Callable[[Forge], Night]) -> None:
    night = live(lambda _request, outcome, _times: claims(outcome, steps=1500.0, steps_per_s=1e6))
    assert {run.status for run in runs_of_the_proposal(night)} == {"ok"}
    assert not any(run.suspicious for run in night.runs)


def test_what_the_evaluator_measured_takes_the_place_of_a_claim(live: Callable[[Forge], Night]) -> None:
    def understate(_request: RunRequest, outcome: RunOutcome, _times: int) -> RunOutcome:
        scores = [msgspec.structs.replace(score, observables={"steps": 1e9}) for score in outcome.scores]
        return dataclasses.replace(claims(outcome, steps=1.0), scores=scores)

    first, second = runs_of_the_proposal(live(understate))
    assert first.observables["steps"] == 1e9
    assert second.status == "rejected"


def test_a_row_about_an_observable_that_the_task_has_not_is_told(tmp_path: Path) -> None:
    text = (simulated_night.TOY / "task.toml").read_text() + '\n[plausible.fast]\nclaims = ["step"]\nlimits = ["clock_s"]\n'
    for name in ("asset.py", "program.md"):
        (tmp_path / name).write_text((simulated_night.TOY / name).read_text())
    (tmp_path / "task.toml").write_text(text)
    with pytest.raises(UsageError, match=r"plausible\.fast\] claims step, .* did you mean `steps"):
        tasks.load(str(tmp_path))
