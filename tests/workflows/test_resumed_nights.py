"""A night that was cut goes on as if it had not been: what was under way, what was believed, what was about to be calibrated."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import simulated_night
from aftermath_nights import constant, finished_night
from simulated_night import Simulation

from appliance import judge, ledger
from appliance.errors import SandboxError, UsageError
from appliance.ledger import Disk
from appliance.records import Night, Telemetry
from appliance.workflows import execution, overnight
from appliance.workflows.execution import Execution, RunOutcome, RunRequest
from appliance.workflows.progress import Silent

NOWHERE = os.open(os.devnull, os.O_WRONLY)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the night's own ending happens."""


class KilledAt(Disk):
    """Dies at the nth time it comes to a step."""

    def __init__(self, step: str, nth: int) -> None:
        self._step, self._left = step, nth

    def step(self, name: str) -> None:
        self._left -= name == self._step
        if self._left == 0 and name == self._step:
            raise Killed


@pytest.fixture
def simulation(tmp_path: Path) -> Callable[..., Simulation]:
    """A night of `proposals` experiments; each call a new one of the same."""

    def make(proposals: int, **changes: object) -> Simulation:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        replay = simulated_night.write_proposals(root / "proposals", proposals)
        return Simulation(root=root / "nights", replay=replay, pause_s=0.0, **changes)  # type: ignore[arg-type]

    return make


def lived(simulation: Simulation, *disks: Disk, through: Callable[[Execution], Execution] = lambda real: real) -> Night:
    """The night through these disks, each of which kills it, to its end."""
    for disk in disks:
        with pytest.raises(Killed):
            simulated_night.live(simulation, disk, NOWHERE, through=through)
    simulated_night.live(simulation, Disk(), NOWHERE, through=through)
    return ledger.read(simulation.folder)


def told(night: Night) -> list[object]:
    """What no cut may change."""
    runs = [(run.kind, run.experiment, run.for_experiment, run.seed, run.status, run.score) for run in night.runs]
    verdicts = [(e.experiment, e.verdict, e.incumbent, e.p, e.runs, e.calibration) for e in night.experiments]
    return [*runs, *verdicts, night.state.calibrations, night.state.confirmation]


def visit_of(night: Night) -> int:
    """The run in which the baseline came back."""
    return next(run.run for run in night.runs if run.kind == "rebaseline" and run.experiment == 0)


def test_a_cut_between_the_baselines_visit_and_the_new_calibration_skips_neither(simulation: Callable[..., Simulation]):
    proposals = judge.REBASELINE_EVERY + 2
    visit = visit_of(lived(simulation(proposals)))
    whole = lived(simulation(proposals, moves_at=visit))
    assert [calibration["first_run"] for calibration in whole.state.calibrations] == [1, visit + 1]
    for nth in (visit, visit + 1):  # after the visit, and in the calibration that follows it
        assert told(lived(simulation(proposals, moves_at=visit), KilledAt("run-recorded", nth))) == told(whole)


def test_a_visit_that_saw_nothing_new_is_neither_repeated_nor_believed_otherwise(simulation: Callable[..., Simulation]):
    whole = lived(simulation(judge.REBASELINE_EVERY + 1))
    assert len(whole.state.calibrations) == 1
    assert told(lived(simulation(judge.REBASELINE_EVERY + 1), KilledAt("run-recorded", visit_of(whole)))) == told(whole)


def test_a_run_under_way_is_recorded_as_interrupted_with_what_was_planned_and_done_again(simulation: Callable[..., Simulation]):
    whole = lived(simulation(6))
    (beside, *_) = [run for run in whole.runs if run.for_experiment]
    night = simulation(6)
    with pytest.raises(Killed):
        simulated_night.live(night, KilledAt("train", beside.run), NOWHERE)
    with ledger.open(night.folder) as book:
        (pending,) = book.pending_runs()
        overnight.go_on(book)
        assert book.pending_runs() == []
    row = ledger.read(night.folder).runs[-1]
    assert (row.status, row.score) == ("interrupted", None)
    for field in ("run", "kind", "experiment", "for_experiment", "seed", "asset_sha256", "dataset", "data_sha256"):
        assert getattr(row, field) == getattr(beside, field)
    assert row.started_at == pending.facts["started_at"]
    cut = lived(night)
    assert [e.verdict for e in cut.experiments] == [e.verdict for e in whole.experiments]
    assert [run.score for run in cut.runs if run.status != "interrupted"] == [run.score for run in whole.runs]


class Loaded:
    """The simulated trainer on a machine with a usual load, where every third seed is slow by its own doing."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def run(self, request: RunRequest) -> RunOutcome:
        """An honest run; the judge is asked of the machine as for a real one."""
        telemetry = Telemetry(samples=5, interval_s=1.0, cpu_others_share=0.1, cpu_frequency_mhz_median=3000.0)
        observables = {"steps_per_s": 100.0 if request.seed % 3 else 50.0, "steps": 1000.0}
        cause = request.normal(telemetry, observables)
        if cause is not None:
            return RunOutcome(status="rejected", reason=cause, detail="the usual load was taken for a disturbance", wall_s=0.01)
        return replace(self._execution.run(request), telemetry=telemetry, observables=observables)


def test_what_was_usual_on_the_machine_is_usual_after_a_cut(simulation: Callable[..., Simulation]):
    whole = lived(simulation(8), through=Loaded)
    first = max(run.run for run in whole.runs if run.kind == "calibration") + 1
    kills = [KilledAt("train", nth) for nth in (first, 2, 2, 3)]
    assert told(lived(simulation(8), *kills, through=Loaded)) == told(whole)
    assert {run.status for run in whole.runs} == {"ok", "failed"}


def test_a_night_that_has_ended_is_refused_before_anything_is_made_ready(tmp_path: Path):
    folder, _ = finished_night(tmp_path, {"a narrower net": constant("WIDTH", 8)})
    before = ledger.read(folder).state
    with pytest.raises(UsageError, match="has ended: its page is"):  # its device is not in this machine: to make ready would say so
        overnight.resume(folder, Silent())
    assert ledger.read(folder).state == before


class Failing:
    """A sandbox that fails so often before each run; negative: for good, after so many runs."""

    def __init__(self, execution: Execution, times: int) -> None:
        self._execution, self._times, self._calls = execution, times, 0

    def run(self, request: RunRequest) -> RunOutcome:
        """A run, or the engine's failure."""
        self._calls += 1
        gone = self._calls % (self._times + 1) if self._times >= 0 else self._calls > -self._times
        if gone:
            raise SandboxError("the engine does not answer any more: refused")
        return self._execution.run(request)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "SANDBOX_WAITS_S", (0.0,) * len(execution.SANDBOX_WAITS_S))


def test_failures_of_the_sandbox_are_repeated_and_counted_apart(simulation: Callable[..., Simulation], no_waiting: None):
    whole = lived(simulation(4))
    night = lived(simulation(4), through=lambda real: Failing(real, 3))
    assert told(night) == told(whole)
    assert {run.sandbox_failures for run in night.runs} == {3}
    assert {run.sandbox_failures for run in whole.runs} == {0}


def test_a_night_whose_engine_stays_away_ends_itself_with_its_page_and_can_be_gone_on_with(
    simulation: Callable[..., Simulation], no_waiting: None
):
    whole, night = lived(simulation(4)), simulation(4)
    with pytest.raises(SandboxError, match="failed 6 times in a row: the engine does not answer"):
        simulated_night.live(night, Disk(), NOWHERE, through=lambda real: Failing(real, -9))
    cut = ledger.read(night.folder)
    assert len(cut.runs) == 9
    assert cut.state.phase == "cut"
    assert "6 times in a row" in (cut.state.ended_why or "")
    assert (night.folder / "report.html").is_file()
    assert told(lived(night)) == told(whole)


def test_an_engine_has_the_time_that_it_takes_to_come_back():
    assert sum(execution.SANDBOX_WAITS_S) >= 4 * 30


def test_every_second_of_a_night_belongs_to_a_phase(simulation: Callable[..., Simulation]):
    night = lived(simulation(3), KilledAt("experiment-recorded", 2))
    assert {"calibrate", "search", "confirm"} <= set(night.state.clock)
    assert all(seconds >= 0 for seconds in night.state.clock.values())
