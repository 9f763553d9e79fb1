"""A finished night with everything real but the sandbox, and an execution that counts, stops and lasts as told."""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import simulated_night

from appliance import ledger, tasks
from appliance.records import Experiment, Reason, Verdict
from appliance.workflows.assets import Assets
from appliance.workflows.clock import Clock
from appliance.workflows.execution import RunOutcome, RunRequest
from appliance.workflows.opening import Reopened, equipped
from appliance.workflows.progress import Silent
from appliance.workflows.runs import Order
from appliance.workflows.workplace import Workplace

TOY = simulated_night.TOY
RUN_S = 0.01
"""What a simulated run costs by its own account."""
IDLE = "\n\ndef nobody_calls_this():\n    return WIDTH\n"

Change = Callable[[str], str]


class Counted:
    """The simulated trainer; `seconds` is a clock that only runs move."""

    def __init__(self, stop_at: int | None = None, broken: str | None = None) -> None:
        self._execution = simulated_night.SimulatedExecution(ledger.Disk(), pause_s=0.0, curve_points=1)
        self._stop_at, self._broken = stop_at, broken
        self.requests: list[RunRequest] = []

    def seconds(self) -> float:
        """Passed so far."""
        return RUN_S * len(self.requests)

    def run(self, request: RunRequest) -> RunOutcome:
        """Ctrl-C comes in run number `stop_at`; an asset that holds the text `broken` runs out of memory."""
        self.requests.append(request)
        if len(self.requests) == self._stop_at:
            raise KeyboardInterrupt
        if self._broken is not None and self._broken in request.files["asset.py"]:
            return RunOutcome(status="failed", reason=Reason.OUT_OF_MEMORY, started_at="2026-01-01T00:00:00Z", wall_s=RUN_S)
        return self._execution.run(request)


def finished_night(root: Path, changes: dict[str, Change]) -> tuple[Path, Workplace]:
    """A night that kept every change (hypothesis → edit of the incumbent's text), each with three fresh runs; its folder, its workplace."""
    place = simulated_night.workplace(root)
    plan, baseline = simulated_night.plan_of(simulated_night.Simulation(root=root, replay=()), place)
    with ledger.create(root, plan, [baseline], reserve_bytes=0, heartbeat_s=0) as book:
        book.update_state(phase="search", calibrations=[{"first_run": 1, "why": "start"}])
        runs, belief = equipped(book, Counted(), tasks.Estimator(place.loaded, plan.preset, plan.profile), Clock(1e9), Silent())
        files, parent = baseline, 0
        for number, (hypothesis, change) in enumerate({"": lambda text: text, **changes}.items()):
            files = {name: change(text) for name, text in files.items()}
            asset = book.store_asset(files)
            kind = "replicate" if number else "calibration"
            for n in range(3):
                label = f"{number}/{n}"
                order = Order(experiment=number, kind=kind, files=files, asset_sha256=asset, seed_label=label, corpus=place.first)
                runs.execute(order)
            if number:
                book.record_experiment(_kept(book, number, parent, hypothesis, asset, belief.mean(number) - belief.mean(parent)))
                parent = number
        book.update_state(phase="end", ended_at="2026-01-01T01:00:00Z", incumbent=parent, incumbent_sha256=Assets(book).sha256(parent))
    return book.folder, place


def _kept(book: ledger.Ledger, number: int, parent: int, hypothesis: str, asset: str, difference: float) -> Experiment:
    return Experiment(
        night_id=book.plan.night_id,
        experiment=number,
        parent=parent,
        agent="replay",
        hypothesis=hypothesis,
        diff="",
        asset_sha256=asset,
        verdict=Verdict.KEPT,
        runs=[run.run for run in book.runs_of(number)],
        difference=difference,
        incumbent=number,
        decided_at="2026-01-01T00:00:00Z",
    )


def constant(name: str, value: float) -> Change:
    """An edit that sets one constant."""
    return lambda text: tasks.replace_constants({"asset.py": text}, {name: value})["asset.py"]


def reopened(book: ledger.Ledger, place: Workplace, execution: Counted) -> Reopened:
    """What `opening.reopened` gives, without a machine."""
    return Reopened(book=book, workplace=place, execution=execution)
