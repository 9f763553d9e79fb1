"""A night with everything real but the sandbox: the loop, the judge, the agent, the ledger and its files; runs take milliseconds.

The score of a run is a function of its asset and its seed, so two nights of the same plan must come to the same rows and verdicts, however
often one of them was killed.
"""

import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance import ledger, tasks
from appliance.ledger import Disk
from appliance.records import Device, Experiment, NightPlan, Profile, Reason, Run, Score, Telemetry
from appliance.workflows import overnight
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus, Execution, RunOutcome, RunRequest
from appliance.workflows.progress import Silent
from appliance.workflows.workplace import Workplace

NIGHT = "20260101-000000-simulated-0000"
TOY = Path(__file__).parent / "toy_task"
NOISE_SD = 0.002
MOVED = 0.1
"""What every run loses once the machine is another."""


class SimulatedExecution:
    """Stands where the sandboxes are: one run is a formula, a pause and what a real one leaves behind."""

    def __init__(self, disk: Disk, pause_s: float, curve_points: int = 20, moves_at: int | None = None) -> None:
        self._disk, self._pause_s, self._curve_points, self._moves_at = disk, pause_s, curve_points, moves_at

    def run(self, request: RunRequest) -> RunOutcome:
        """Score = formula of the constants + noise of the seed; a WIDTH of 63 runs out of memory."""
        self._disk.step("train")
        time.sleep(self._pause_s)
        values = tasks.read_constants(request.files)
        width, depth, rate = (float(values[name]) for name in ("WIDTH", "DEPTH", "RATE"))
        if width == 63:
            return RunOutcome(
                status="failed", reason=Reason.OUT_OF_MEMORY, detail="simulated", started_at="2026-01-01T00:00:00Z", wall_s=0.01
            )
        loss = 2.0 + 0.02 * abs(math.log2(width) - 3) + 0.01 * abs(depth - 4) + 0.05 * abs(math.log10(rate) + 1)
        if self._moves_at is not None and request.run >= self._moves_at:
            loss += MOVED
        self._disk.step("evaluate")
        scores = [
            Score(
                split=split,
                score=loss + NOISE_SD * _normal(request.seed, split, width),
                bytes=1000,
                documents=[(loss * 10 + _normal(request.seed, split, n), 10) for n in range(20)] if request.per_document else [],
            )
            for split in request.splits
        ]
        points = [(n * 1e-4, float(n), loss + 1 / (n + 1)) for n in range(self._curve_points)]
        return RunOutcome(
            status="ok",
            scores=scores,
            observables={"steps_per_s": 100.0, "steps": 1000.0},
            curve=points,
            telemetry=Telemetry(samples=5, interval_s=1.0),
            started_at="2026-01-01T00:00:00Z",
            create_s=0.001,
            startup_s=0.001,
            budget_s=0.01,
            finish_s=0.0,
            evaluate_s=0.001,
            wall_s=0.01,
            log_tail="".join(f"step {n} loss {loss}\n" for n in range(20)),
        )


def _normal(*parts: object) -> float:
    """A standard normal number that depends on the arguments alone."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    first, second = (int.from_bytes(digest[at : at + 6], "big") / 2**48 for at in (0, 6))
    return math.sqrt(-2 * math.log(1 - first)) * math.cos(2 * math.pi * second)


class Told(Silent):
    """Says over a pipe which rows the loop was told are durable; whoever kills the night holds the ledger to it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def run_finished(self, run: Run) -> None:
        """One line per recorded run."""
        os.write(self._descriptor, f"run {run.run}\n".encode())

    def decided(self, experiment: Experiment, incumbent_score: float | None, baseline_score: float | None) -> None:
        """One line per recorded experiment."""
        os.write(self._descriptor, f"experiment {experiment.experiment}\n".encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """Where a simulated night lives and what it tries."""

    root: Path
    replay: tuple[Path, ...]
    """Assets to try, in order."""
    pause_s: float = 0.002
    moves_at: int | None = None
    """From this run on the machine is another: the baseline's next visit sees it."""

    @property
    def folder(self) -> Path:
        """Of the night."""
        return self.root / NIGHT


def write_proposals(folder: Path, count: int) -> tuple[Path, ...]:
    """`count` assets on a path that gets better, with failures, repeats and a syntax error among them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    base = (TOY / "asset.py").read_text()
    for n in range(count):
        width, depth = max(2, 32 - 2 * (n // 2)), max(1, 12 - n // 3)
        text = tasks.replace_constants({"asset.py": base}, {"WIDTH": width, "DEPTH": depth, "RATE": round(0.5 * 0.9**n, 6)})["asset.py"]
        if n % 7 == 5:
            text = tasks.replace_constants({"asset.py": base}, {"WIDTH": 63, "RATE": round(0.4 + n / 1000, 6)})["asset.py"]
        if n % 11 == 9:
            text = "WIDTH = (\n"
        path = folder / f"proposal-{n:05d}.py"
        path.write_text(text)
        files.append(path)
    return tuple(files)


def workplace(root: Path) -> Workplace:
    """What `make_ready` would give, without a machine."""
    loaded = tasks.load(str(TOY))
    splits = dict.fromkeys(("train", "val", "test", "transfer"), root)
    return Workplace(
        device=Device(kind="cpu", index=0, name="simulated", slug="simulated"),
        loaded=loaded,
        preset_name="cpu",
        preset=loaded.task.presets["cpu"],
        place=None,  # type: ignore[arg-type]
        profile=Profile(device_slug="simulated", device_kind="cpu", name="simulated", sha256="0" * 64),
        first=Corpus(name="numbers", sha256="1" * 64, splits=splits),
        second=Corpus(name="letters", sha256="2" * 64, splits=splits),
        versions={},
    )


def plan_of(simulation: Simulation, place: Workplace) -> tuple[NightPlan, dict[str, str]]:
    """A plan that is the same each time, and its baseline."""
    baseline = place.loaded.reference(place.preset)
    sha256 = ledger.asset_sha256(baseline)
    plan = NightPlan(
        night_id=NIGHT,
        started_at="2026-01-01T00:00:00Z",
        hours=1000.0,
        device=place.device,
        profile=place.profile,
        task=place.loaded.task,
        task_sha256=place.loaded.sha256,
        preset_name="cpu",
        preset=place.preset,
        isolation="none",
        data_sha256="1" * 64,
        agent="replay",
        agent_options={"replay": [str(path) for path in simulation.replay]},
        seed=7,
        baseline_sha256=sha256,
        reference_sha256=sha256,
    )
    return plan, baseline


def live(simulation: Simulation, disk: Disk, told: int, *, through: Callable[[Execution], Execution] = lambda execution: execution) -> None:
    """Begin the night or go on with it, to its end; `through` may stand between it and its runs.

    Raises:
        Whatever the disk does; the night goes on with the next call.
    """
    place = workplace(simulation.root)
    if simulation.folder.exists():
        book = ledger.open(simulation.folder, disk=disk, reserve_bytes=1 << 16, heartbeat_s=0.02)
    else:
        plan, baseline = plan_of(simulation, place)
        book = ledger.create(simulation.root, plan, [baseline], disk=disk, reserve_bytes=1 << 16, heartbeat_s=0.02)
    with book:
        if book.state.ended_at is None or book.state.phase != "end":
            execution = SimulatedExecution(disk, simulation.pause_s, moves_at=simulation.moves_at)
            overnight.work(book, place, through(execution), Told(told), Clock(1e9))
