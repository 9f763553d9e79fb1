"""One night from end to end: make ready, calibrate, search, confirm, report. Begun, or gone on with."""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import appliance
from appliance import agents, judge, ledger, report, tasks
from appliance.errors import ApplianceError, PrerequisiteError, SandboxError, UsageError
from appliance.records import Confirmation, NightPlan, Run
from appliance.workflows import testuses
from appliance.workflows.assets import Assets
from appliance.workflows.awake import awake
from appliance.workflows.clock import Clock
from appliance.workflows.confirm import Confirm, claim
from appliance.workflows.execution import Execution
from appliance.workflows.night import Search
from appliance.workflows.opening import equipped, ready_again, sandboxed
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.serving import page_beside
from appliance.workflows.workplace import Workplace, make_ready, nights_root

_SLOWER_LATER = 1.15
"""The confirmation is given this share of its calibrated cost: a machine has slower hours, and time passes between runs."""
_AGENT_FLAGS = {
    "model": "--model",
    "max_cost_usd": "--max-cost",
    "price": "--price",
    "effort": "--effort",
    "share": "--share",
    "command": "--agent-command",
    "replay": "--replay",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a person asks of a night."""

    hours: float
    agent: str = "search"
    agent_options: Mapping[str, Any] = field(default_factory=dict)
    task: str = "trainer"
    preset: str | None = None
    sandbox: SandboxKind = "docker"
    device: str | None = None
    nights: Path | None = None
    from_night: str | None = None
    seed: int | None = None
    standby: bool = True


Serve = tuple[str, int]
"""Host and port of the live page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of it."""

    folder: Path
    page: Path
    interrupted: bool
    confirmation: Confirmation | None


def begin(options: Options, progress: Progress, serve: Serve | None = None) -> Outcome:
    """A new night.

    Raises:
        UsageError, PrerequisiteError, ApplianceError: before anything is written, or with a night's folder that says why.
    """
    agents.check(options.agent, options.agent_options)
    address = report.Address(*serve) if serve else None
    root = nights_root(options.nights)
    parent = ledger.find(root, options.from_night) if options.from_night else None
    with _undisturbed(progress):
        workplace = make_ready(
            task=options.task, device=options.device, preset=options.preset, kind=options.sandbox, hours=options.hours, progress=progress
        )
        with ledger.DeviceLock(workplace.device.uuid or workplace.device.slug):
            plan, files = _plan(options, workplace, parent)
            with ledger.create(root, plan, files) as book:
                return _night(book, workplace, progress, address)


def resume(folder: Path, progress: Progress, serve: Serve | None = None) -> Outcome:
    """Go on with a night that was cut.

    Raises:
        UsageError: it has ended, another process holds it, or what it stood on has changed.
    """
    plan = ledger.read_plan(folder)
    address = report.Address(*serve) if serve else None
    with ledger.open(folder, afterwards=True) as book:
        _refuse_ended(book)  # before anything is made ready for it
    with _undisturbed(progress):
        workplace = ready_again(plan, progress)
        with ledger.DeviceLock(workplace.device.uuid or workplace.device.slug), ledger.open(folder) as book:
            _refuse_ended(book)  # by another process meanwhile
            go_on(book)
            return _night(book, workplace, progress, address)


def _refuse_ended(book: ledger.Ledger) -> None:
    if book.state.ended_at is not None and book.state.phase == "end":
        raise UsageError(f"night {book.plan.night_id} has ended: its page is {book.folder / 'report.html'}")


def go_on(book: ledger.Ledger) -> None:
    """What a dead process had under way is recorded as interrupted, and the night has not ended any more.

    The ledger noted the cut when it was opened. What was said of the winner meanwhile is said anew of the one to come.
    """
    for pending in book.interrupted():
        book.record_run(_interrupted(book, pending))
    book.update_state(ended_at=None, ended_why=None, confirmation=None, attribution=[])


@contextlib.contextmanager
def _undisturbed(progress: Progress) -> Iterator[None]:
    with awake() as held:
        if held:
            progress.note("this machine does not suspend itself until the night is over")
        yield


def _night(book: ledger.Ledger, workplace: Workplace, progress: Progress, address: report.Address | None) -> Outcome:
    progress.planned(book.plan, str(book.folder))
    with contextlib.ExitStack() as beside:
        if address is not None:
            beside.enter_context(page_beside(book.folder, address))
            progress.note(f"its page, live: {address.url}")
        return work(book, workplace, beside.enter_context(sandboxed(book.plan, workplace)), progress)


def work(
    book: ledger.Ledger,
    workplace: Workplace,
    execution: Execution,
    progress: Progress,
    clock: Clock | None = None,
    agent: agents.Agent | None = None,
) -> Outcome:
    """The night proper, over any execution (and any agent, instead of the planned one); ends with its page, whatever ends it."""
    plan = book.plan
    clock = clock or Clock(plan.hours * 3600, book.clock_spent_s)
    estimator = tasks.Estimator(workplace.loaded, plan.preset, plan.profile)
    runs, belief = equipped(book, execution, estimator, clock, progress)
    assets = Assets(book)
    agent = agent or agents.create(plan.agent, seed=plan.seed, options=plan.agent_options, state=book.load_agent())
    search = Search(
        book=book,
        runs=runs,
        belief=belief,
        assets=assets,
        agent=agent,
        loaded=workplace.loaded,
        estimator=estimator,
        corpus=workplace.first,
        clock=clock,
        progress=progress,
    )
    confirm = Confirm(book=book, runs=runs, assets=assets, first=workplace.first, second=workplace.second, clock=clock, progress=progress)
    failure: BaseException | None = None
    try:
        _live(search, confirm, workplace)
    except (KeyboardInterrupt, Exception) as error:  # even of our own mistakes: what was measured is kept and shown; then it is told
        failure = error
    finally:
        agent.close()
    page = _close(search, failure)
    if isinstance(failure, Exception):
        raise failure
    return Outcome(folder=book.folder, page=page, interrupted=failure is not None, confirmation=book.state.confirmation)


def _live(search: Search, confirm: Confirm, workplace: Workplace) -> None:
    """Calibrate, search, confirm."""
    book, belief, progress, plan = search.book, search.belief, search.progress, search.book.plan
    _phase(book, progress, "calibrate")
    search.calibrate()
    reserve = _reserve(book, plan, workplace)
    search.runs.reserved_s = _SLOWER_LATER * reserve.seconds
    if reserve.reason:
        progress.note(f"the winner cannot be confirmed: {reserve.reason}")
    _phase(book, progress, "search")
    search.search()
    search.agent.close()
    search.runs.reserved_s = 0.0
    _phase(book, progress, "confirm")
    confirmation = confirm.run(belief.incumbent, reserve, claim(belief), belief.seconds_per_run() or plan.preset.budget_s)
    book.update_state(confirmation=confirmation)


def _close(search: Search, failure: BaseException | None) -> Path:
    """Write down how it ended, the winner and the page."""
    book, belief, assets, agent, progress = search.book, search.belief, search.assets, search.agent, search.progress
    for line in agent.notes():
        progress.note(line)
    book.save_agent(agent.dump())
    winner = belief.incumbent
    final = isinstance(failure, ApplianceError) and not isinstance(failure, PrerequisiteError | SandboxError)
    ended = failure is None or final
    if isinstance(failure, Exception) and not ended:
        progress.note(f"cut short: {failure}; go on, when that is mended, with: appliance overnight --resume {book.folder.name}")
    book.update_state(
        phase="end" if ended else "cut",  # a cut night can be gone on with
        clock=_clock(book),
        ended_at=_now(),
        ended_why="interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure or "the clock was spent"),
        incumbent=winner,
        incumbent_sha256=assets.sha256(winner),
        agent=agent.account(),
        expected_false_keeps=judge.expected_false_keeps(sum(run.kind == "screen" for run in book.runs()), noise=belief.noise()),
    )
    book.set_winner(assets.sha256(winner), {"experiment": winner, "metric": book.plan.task.metric.name, "mean": belief.mean(winner)})
    progress.phase("report")
    page = report.write(ledger.read(book.folder), book.folder / "report.html")
    progress.phase("end", str(page))
    return page


def _plan(options: Options, workplace: Workplace, parent: Path | None) -> tuple[NightPlan, list[dict[str, str]]]:
    """The plan, and the assets it names."""
    reference = workplace.loaded.reference(workplace.preset)
    baseline = _winner_of(parent) if parent else reference
    if set(baseline) != set(reference):
        raise UsageError(f"the winner of {parent} has other files than task {workplace.loaded.task.name}")
    slug = workplace.device.slug
    plan = NightPlan(
        night_id=ledger.new_night_id(slug),
        started_at=_now(),
        hours=options.hours,
        device=workplace.device,
        profile=workplace.profile,
        task=workplace.loaded.task,
        task_sha256=workplace.loaded.sha256,
        task_source=options.task,
        preset_name=workplace.preset_name,
        preset=workplace.preset,
        isolation=workplace.place.isolation,
        image_digest=workplace.place.image_digest,
        data_sha256=workplace.first.sha256,
        transfer_sha256=workplace.second.sha256 if workplace.second else None,
        agent=options.agent,
        agent_options=dict(options.agent_options),
        standby=options.standby,
        seed=options.seed if options.seed is not None else secrets.randbelow(2**31),
        parent_night=parent.name if parent else None,
        baseline_sha256=ledger.asset_sha256(baseline),
        reference_sha256=ledger.asset_sha256(reference),
        test_split_uses=len(testuses.uses(workplace.first.sha256)),
        versions={"appliance": appliance.__version__, **workplace.versions},
        command=_command(options, workplace),
    )
    return plan, [baseline, reference]


def _command(options: Options, workplace: Workplace) -> list[str]:
    """What repeats the night: same task, preset, clock and agent."""
    command = ["appliance", "overnight", "--hours", f"{options.hours:g}", "--agent", options.agent, "--preset", workplace.preset_name]
    for flag, value, default in (
        ("--task", options.task, "trainer"),
        ("--sandbox", options.sandbox, "docker"),
        ("--from", options.from_night, None),
    ):
        if value != default and value is not None:
            command += [flag, value]
    if not options.standby:
        command.append("--no-standby")
    for name, flag in _AGENT_FLAGS.items():
        if (value := options.agent_options.get(name)) is not None:
            for one in value if isinstance(value, list) else [value]:
                command += [flag, f"{one:g}" if isinstance(one, float) else str(one)]
    return command


def _winner_of(night: Path) -> dict[str, str]:
    winner = json.loads((night / "winner" / "winner.json").read_text())
    return ledger.load_asset(night, winner["asset_sha256"])


def _reserve(book: ledger.Ledger, plan: NightPlan, workplace: Workplace) -> judge.ConfirmationPlan:
    """Runs kept back for the confirmation, at the cost that calibration measured."""
    calibrated = [run for run in book.runs() if run.kind == "calibration" and run.status == "ok" and run.wall_s is not None]
    if not calibrated:
        raise ApplianceError("calibration left no valid run: the machine is too disturbed to measure on")
    last = calibrated[-5:]
    training = sum((run.wall_s or 0.0) - (run.evaluate_s or 0.0) for run in last) / len(last)
    evaluating = sum(run.evaluate_s or 0.0 for run in last) / len(last)

    def evaluation(split: str) -> float:
        sizes = plan.preset.evaluation
        return evaluating * max(1.0, sizes.get(split, 1) / max(1, sizes.get("val", 1)))

    first = training + evaluation("val") + evaluation("test") + (evaluation("transfer") if "transfer" in workplace.first.splits else 0.0)
    second = 2 * (training + evaluation("test")) if workplace.second else None
    return judge.plan_confirmation(2 * first, second, plan.hours * 3600)


def _interrupted(book: ledger.Ledger, pending: ledger.Pending) -> Run:
    """The row of a run that a dead process left behind."""
    plan, facts = book.plan, pending.facts
    return Run(
        night_id=plan.night_id,
        experiment=pending.experiment,
        run=pending.number,
        for_experiment=facts.get("for_experiment"),
        kind=facts["kind"],
        status="interrupted",
        reason="interrupted",  # type: ignore[arg-type]
        metric=plan.task.metric.name,
        seed=facts["seed"],
        asset_sha256=facts["asset_sha256"],
        image_digest=plan.image_digest,
        dataset=facts.get("dataset"),
        data_sha256=facts.get("data_sha256"),
        profile_sha256=plan.profile.sha256,
        task_sha256=plan.task_sha256,
        isolation=plan.isolation,
        device=plan.device.slug,
        driver=plan.device.driver,
        started_at=facts.get("started_at", plan.started_at),
    )


def _phase(book: ledger.Ledger, progress: Progress, name: str) -> None:
    book.update_state(phase=name, clock=_clock(book))
    progress.phase(name)


def _clock(book: ledger.Ledger) -> dict[str, float]:
    """Seconds per phase until now; what no phase has yet is the present one's."""
    clock, phase = book.state.clock, book.state.phase
    return {**clock, phase: clock.get(phase, 0.0) + book.clock_spent_s - sum(clock.values())}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
