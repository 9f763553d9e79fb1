"""One run from asset to score: a train sandbox, the task's checks, an evaluate sandbox per split, the host's readings beside it.

`Execution` is the seam: the loop of a night knows only it, so a simulated trainer can stand in its place. What a run
came to is decided here in the order of the design: what the program did, whether the machine was calm, and only then the score.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from appliance import hardware, sandbox, tasks, temporary
from appliance.errors import ApplianceError, SandboxError
from appliance.records import Device, ExecResult, Preset, Profile, Reason, Score, Telemetry
from appliance.sandbox import failures
from appliance.workflows.scoring import Scorer, Scoring
from appliance.workflows.standby import Make, Standby
from appliance.workflows.view import task_view

_CURVE_POINTS = 200

SANDBOX_WAITS_S = (5.0, 10.0, 20.0, 40.0, 80.0)
"""Before each repeat of a run whose sandbox failed; an engine has these two and a half minutes to come back, then the night ends itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """One prepared dataset: a folder per split."""

    name: str
    sha256: str
    splits: Mapping[str, Path]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """What is to be run."""

    night_id: str
    run: int
    seed: int
    files: Mapping[str, str]
    corpus: Corpus
    """Trained on its `train` split, scored on others."""
    splits: tuple[str, ...] = ("val",)
    per_document: bool = False
    """Confirmations keep the documents' sums for the bootstrap."""
    startup_calibrated_s: float | None = None
    normal: Callable[[Telemetry, Mapping[str, float]], Reason | None] = lambda _telemetry, _observables: None
    """The judge's opinion of the machine during the run: a cause outside it, or None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutcome:
    """What it came to."""

    status: str
    reason: Reason | None = None
    detail: str | None = None
    scores: list[Score] = field(default_factory=list)
    observables: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[float, float, float]] = field(default_factory=list)
    telemetry: Telemetry = field(default_factory=Telemetry)
    started_at: str = ""
    create_s: float | None = None
    startup_s: float | None = None
    budget_s: float | None = None
    finish_s: float | None = None
    evaluate_s: float | None = None
    wall_s: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    """See `Run.phases`."""
    log_tail: str = ""
    sandbox_failures: int = 0
    """See `Run.sandbox_failures`."""


class Phases:
    """A clock with laps: every second of a run belongs to the phase that ended next."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self.seconds: dict[str, float] = {}

    @property
    def total_s(self) -> float:
        """Of all phases."""
        return sum(self.seconds.values())

    def end(self, name: str) -> None:
        """The phase `name` lasted from the end of the one before until now; another stretch of it adds up."""
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def split(self, name: str, part_s: float | None, into: str) -> None:
        """Of phase `name`, `part_s` seconds (at most all of it) were phase `into`; nothing where either is unknown."""
        if part_s is None or name not in self.seconds:
            return
        part_s = min(part_s, self.seconds[name])
        self.seconds[name] -= part_s
        self.seconds[into] = self.seconds.get(into, 0.0) + part_s


class Execution(Protocol):
    """Whatever can execute runs."""

    def run(self, request: RunRequest) -> RunOutcome:
        """Execute one run to its end.

        Raises:
            SandboxError: the sandbox itself failed; nothing is said of the asset.
        """


class SandboxExecution:
    """Real runs in a sandbox. Close it after the last one.

    With `ahead`, what can stand by is made before it is needed, where the task's command says that it can: the evaluate box while the asset
    starts up, frozen while it trains; the next run's train box while this one is scored. No box but its own is awake during a budget.
    """

    def __init__(
        self,
        *,
        place: sandbox.Sandbox,
        loaded: tasks.LoadedTask,
        preset: Preset,
        device: Device,
        profile: Profile,
        ahead: bool = False,
    ) -> None:
        self._sandbox, self._loaded, self._preset, self._device, self._profile = place, loaded, preset, device, profile
        self._scorer = Scorer(place=place, loaded=loaded, preset=preset, device=device, profile=profile)
        self._standby = Standby()
        self._train_ahead = ahead and loaded.task.train.standby
        self._evaluate_ahead = ahead and loaded.task.evaluate.standby

    def close(self) -> None:
        """Remove what stands by, and what the engine did not give up when its turn was over."""
        self._standby.close()
        with contextlib.suppress(ApplianceError):  # it does not answer: the next night removes it
            self._sandbox.sweep()

    def run(self, request: RunRequest) -> RunOutcome:
        """One run; see `Execution.run`."""
        started_at, phases = datetime.now(UTC).isoformat(timespec="milliseconds"), Phases()
        with contextlib.ExitStack() as stack:
            artifact = stack.enter_context(temporary.folder("run"))
            train = stack.enter_context(self._standby.take(request.corpus.sha256, self._train_box(request)))
            for file, text in request.files.items():
                (train.asset / file).parent.mkdir(parents=True, exist_ok=True)
                (train.asset / file).write_text(text, encoding="utf-8")
            first = stack.enter_context(self._score_box(request, artifact, request.splits[0])) if self._evaluate_ahead else None
            phases.end("create")
            result, telemetry = self._train(request, train.box, artifact, phases, first.box if first else None)
            claims = _claims(artifact / "claims.json")
            observables = {**claims[0], **_measured(result, telemetry)}
            outcome = RunOutcome(
                status="ok",
                observables=observables,
                curve=claims[1],
                telemetry=telemetry,
                started_at=started_at,
                create_s=phases.seconds["create"],
                startup_s=result.startup_s,
                budget_s=result.budget_s,
                finish_s=result.finish_s,
                log_tail=result.log_tail,
            )
            verdict = self._judge_machine_first(request, result, telemetry, observables)
            if first is not None and verdict is None:
                first.box.release()
            if self._train_ahead:
                self._standby.prepare(request.corpus.sha256, self._train_box(request))
                phases.end("standby")
            if verdict is not None:
                outcome = _with(outcome, status=verdict[0], reason=verdict[1], detail=verdict[2])
            else:
                outcome = self._evaluate(request, artifact, outcome, phases, first)
            return _with(outcome, wall_s=phases.total_s, phases=phases.seconds)

    def _train_box(self, request: RunRequest) -> Make:
        task = self._loaded.task

        @contextlib.contextmanager
        def make(asset: Path) -> Iterator[sandbox.Box]:
            with task_view(self._loaded, task.train) as seen:
                spec = sandbox.Spec(
                    command=tuple(task.train.command),
                    folders={"TASK": seen, "ASSET": asset, "DATA": request.corpus.splits["train"]},
                    limits=task.train.limits,
                    device=self._device,
                    budget_s=self._preset.budget_s,
                    params=self._preset.params,
                    clock=task.clock,
                    collect=tuple(task.artifact),
                    profile=msgspec.json.encode(self._profile),
                    labels={"night": request.night_id},
                )
                with self._sandbox.create(spec) as box:
                    yield box

        return make

    def _train(
        self, request: RunRequest, box: sandbox.Box, artifact: Path, phases: Phases, other: sandbox.Box | None
    ) -> tuple[ExecResult, Telemetry]:
        """Train in `box`; `other` is frozen while the clock runs."""
        monitor = hardware.Monitor(self._device, box.pid)

        def check(folder: Path) -> tuple[Reason, str] | None:
            phases.end("import")
            refused = tasks.run_checks(self._loaded, "mark", folder)
            if refused is None:
                if other is not None:
                    other.pause()
                monitor.start()  # the engine's own work before and after the clock is no disturbance
            phases.end("mark")
            return refused

        def stopped() -> None:
            phases.end("budget")
            monitor.stop()

        box.release(sandbox.Start(seed=request.seed, startup_calibrated_s=request.startup_calibrated_s))
        try:
            result = box.run(artifact, check, stopped)
        finally:
            telemetry = monitor.stop()
        phases.end("collect" if result.marked else "import")
        phases.split("import", result.startup_s, "startup")
        phases.split("budget", max(0.0, (result.train_s or 0.0) - (result.budget_s or 0.0)), "finish")
        if result.done and result.refused is None:
            refused = tasks.run_checks(self._loaded, "end", artifact)
            if refused is not None:
                result = msgspec.structs.replace(result, refused_reason=refused[0], refused=refused[1])
        phases.end("check")
        return result, telemetry

    def _judge_machine_first(
        self, request: RunRequest, result: ExecResult, telemetry: Telemetry, observables: Mapping[str, float]
    ) -> tuple[str, Reason, str | None] | None:
        """Status, reason and detail of a run that is not to be scored."""
        failure = failures.name(result)
        if result.refused_reason is not None and failure is not None:
            return "rejected", *failure
        if failure is not None:
            slow = failure[0] is Reason.TIMEOUT  # the one failure that a disturbed machine can cause
            cause = request.normal(telemetry, observables) if slow else None
            return ("invalid", cause, failure[1]) if cause is not None else ("failed", *failure)
        cause = request.normal(telemetry, observables)
        return ("invalid", cause, ", ".join(telemetry.causes) or None) if cause is not None else None

    def _score_box(self, request: RunRequest, artifact: Path, split: str) -> contextlib.AbstractContextManager[Scoring]:
        labels = {"night": request.night_id, "run": str(request.run)}
        return self._scorer.open(artifact, split, request.corpus.splits[split], labels, per_document=request.per_document)

    def _evaluate(self, request: RunRequest, artifact: Path, outcome: RunOutcome, phases: Phases, first: Scoring | None) -> RunOutcome:
        """Every split's score, or why there is none; `first` is the box of the first split where it stood by."""
        scores: list[Score] = []
        for split in request.splits:
            if first is not None and split == first.split:
                scored = first.score()
            else:
                with self._score_box(request, artifact, split) as box:
                    scored = box.score()
            phases.end("evaluate")
            outcome = _with(outcome, evaluate_s=phases.seconds["evaluate"])
            if scored.score is None:
                return _with(outcome, status=scored.status, reason=scored.reason, detail=scored.detail)
            scores.append(scored.score)
        return _with(outcome, scores=scores)


def _claims(file: Path) -> tuple[dict[str, float], list[tuple[float, float, float]]]:
    """What the run says about itself; anything that is not a finite number is dropped."""
    try:
        claims = msgspec.json.decode(file.read_bytes())
        observables = {str(k): float(v) for k, v in claims.get("observables", {}).items() if isinstance(v, int | float)}
        curve = [(float(s), float(n), float(v)) for s, n, v in claims.get("curve", [])][:_CURVE_POINTS]
    except (OSError, AttributeError, TypeError, ValueError, msgspec.DecodeError):
        return {}, []
    return observables, curve


def _measured(result: ExecResult, telemetry: Telemetry) -> dict[str, float]:
    """The host's own numbers take the place of claims of the same name."""
    peak = result.peak_memory_bytes or telemetry.peak_memory_bytes
    return {"host_memory_bytes": float(peak)} if peak else {}


def _with(outcome: RunOutcome, **changes: object) -> RunOutcome:
    import dataclasses

    return dataclasses.replace(outcome, **changes)  # type: ignore[arg-type]


def retrying(execution: Execution, request: RunRequest, note: Callable[[str], None]) -> RunOutcome:
    """`execution.run`, again after each of `SANDBOX_WAITS_S` while the sandbox itself fails; how often it did is in the outcome.

    Raises:
        SandboxError: it failed every time.
    """
    for failed, wait_s in enumerate((*SANDBOX_WAITS_S, None)):
        try:
            return _with(execution.run(request), sandbox_failures=failed)
        except SandboxError as error:
            if wait_s is None:
                raise SandboxError(f"the sandbox failed {failed + 1} times in a row: {error}") from error
            note(f"the sandbox failed ({error}); again in {wait_s:g} s")
            time.sleep(wait_s)
    raise AssertionError("unreachable")
