"""A recorded night taken up again: what it stood on, what it believes, and the runs it may go on with.

`overnight --resume` goes on with the night itself. `reopened` is for what comes after it (`confirm`, `attribute`): the night's clock stands
still, its verdicts and its winner stay.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance import hardware, ledger, report, tasks
from appliance.errors import UsageError
from appliance.records import NightPlan, NightState
from appliance.workflows.awake import awake
from appliance.workflows.belief import Belief, restored
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Execution, SandboxExecution
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.runs import Runs, throughput_of
from appliance.workflows.workplace import Workplace, make_ready


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopened:
    """A night after its end, on a machine made ready for it."""

    book: ledger.Ledger
    workplace: Workplace
    execution: Execution


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """What became of it."""

    folder: Path
    page: Path
    interrupted: bool
    state: NightState


@contextlib.contextmanager
def reopened(folder: Path, kind: SandboxKind | None, progress: Progress) -> Iterator[Reopened]:
    """Open a night that ended or was cut and that kept something; kind: the sandbox asked for, None for the night's own.

    Raises:
        UsageError: imported, kept nothing, in use, of another sandbox or device, or what it stood on has changed.
    """
    plan = ledger.read_plan(folder)
    if plan.imported:
        raise UsageError(f"night {plan.night_id} is imported: none of its assets is here to run")
    if kind not in (None, _sandbox_of(plan)):
        raise UsageError(
            f"night {plan.night_id} ran in sandbox {_sandbox_of(plan)}, and only such runs compare with it: leave --sandbox away"
        )
    with ledger.open(folder, afterwards=True) as book:
        if book.state.incumbent == 0:
            raise UsageError(f"night {plan.night_id} kept nothing: it has no winner to run")
        with awake():
            workplace = ready_again(plan, progress)
            with ledger.DeviceLock(workplace.device.uuid or workplace.device.slug, folder), sandboxed(plan, workplace) as execution:
                progress.planned(plan, str(folder))
                yield Reopened(book=book, workplace=workplace, execution=execution)


def ready_again(plan: NightPlan, progress: Progress) -> Workplace:
    """The night's workplace, the same as when it began.

    Raises:
        UsageError: its device is not here, or its task, image or data has changed.
        PrerequisiteError, ApplianceError: see `make_ready`.
    """
    selector = plan.device.uuid or plan.device.slug
    try:
        hardware.choose(hardware.detect(), selector)
    except UsageError as error:
        raise UsageError(f"night {plan.night_id} ran on {plan.device.name}, which is not in this machine: go on with it there") from error
    loaded = tasks.load(plan.task_source)
    _same(plan, ("the task", plan.task_sha256, loaded.sha256))
    workplace = make_ready(
        task=loaded, device=selector, preset=plan.preset_name, kind=_sandbox_of(plan), hours=plan.hours, progress=progress
    )
    _same(
        plan,
        ("the image", plan.image_digest, workplace.place.image_digest),
        ("the data", plan.data_sha256, workplace.first.sha256),
        ("the second corpus", plan.transfer_sha256, workplace.second.sha256 if workplace.second else None),
    )
    return workplace


@contextlib.contextmanager
def sandboxed(plan: NightPlan, workplace: Workplace) -> Iterator[Execution]:
    """Real runs of this night, after what a killed process left in the sandbox is gone; nothing stands by when the block ends."""
    workplace.place.sweep({"night": plan.night_id})
    execution = SandboxExecution(
        place=workplace.place,
        loaded=workplace.loaded,
        preset=plan.preset,
        device=workplace.device,
        profile=plan.profile,
        ahead=plan.standby,
    )
    with contextlib.closing(execution):
        yield execution


def equipped(
    book: ledger.Ledger, execution: Execution, estimator: tasks.Estimator, clock: Clock, progress: Progress
) -> tuple[Runs, Belief]:
    """The runs of a night over any execution, and what the night believes so far."""
    throughput = throughput_of(book.plan.task)
    belief = restored(book.runs(), book.experiments(), book.state.calibrations, throughput)

    def predicted(files: Mapping[str, str]) -> float | None:
        cost: float | None = estimator([tasks.read_constants(files)])[0].get("observables", {}).get(throughput)
        return cost

    return Runs(book=book, execution=execution, belief=belief, clock=clock, progress=progress, predicted=predicted), belief


def finished(book: ledger.Ledger, work: Callable[[], None], progress: Progress) -> Aftermath:
    """Do the work, and write the night's page whatever ends it.

    Raises:
        What the work raises; Ctrl-C is told in the result instead.
    """
    interrupted = False
    try:
        work()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.phase("report")
        page = report.write(ledger.read(book.folder), book.folder / "report.html")
        progress.phase("end", str(page))
    return Aftermath(folder=book.folder, page=page, interrupted=interrupted, state=book.state)


def _same(plan: NightPlan, *facts: tuple[str, str | None, str | None]) -> None:
    for what, then, now in facts:
        if then != now:
            raise UsageError(f"{what} of night {plan.night_id} has changed since it began: start a new one with --from {plan.night_id}")


def _sandbox_of(plan: NightPlan) -> SandboxKind:
    return "process" if plan.isolation == "none" else "docker"
