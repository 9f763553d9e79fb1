"""One run from asset to score: a train sandbox, the task's checks, an evaluate sandbox per split, the host's readings beside it.

`Execution` is the seam: the loop of a night knows only it, so a simulated trainer can stand in its place. What a run
came to is decided here in the order of the design: what the program did, whether the machine was calm, and only then the score.
"""

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from appliance import hardware, sandbox, tasks
from appliance.errors import SandboxError
from appliance.records import ArtifactFile, Device, ExecResult, Preset, Profile, Reason, Score, Telemetry
from appliance.records.task import Command
from appliance.sandbox import failures

_CURVE_POINTS = 200
_SCORE_FILE = ArtifactFile(name="score.json", at="end", max_bytes=16 << 20)


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
    """Real runs in a sandbox."""

    def __init__(self, *, place: sandbox.Sandbox, loaded: tasks.LoadedTask, preset: Preset, device: Device, profile: Profile) -> None:
        self._sandbox, self._loaded, self._preset, self._device, self._profile = place, loaded, preset, device, profile

    def run(self, request: RunRequest) -> RunOutcome:
        """One run; see `Execution.run`."""
        started_at, phases = datetime.now(UTC).isoformat(timespec="milliseconds"), Phases()
        with tempfile.TemporaryDirectory(prefix="appliance-run-") as name, task_view(self._loaded, self._loaded.task.train) as seen:
            work = Path(name)
            work.chmod(0o755)
            asset, artifact = work / "asset", work / "artifact"
            asset.mkdir()
            artifact.mkdir()
            for file, text in request.files.items():
                (asset / file).parent.mkdir(parents=True, exist_ok=True)
                (asset / file).write_text(text, encoding="utf-8")
            result, telemetry = self._train(request, seen, asset, artifact, phases)
            claims = _claims(artifact / "claims.json")
            observables = {**claims[0], **_measured(result, telemetry)}
            outcome = RunOutcome(
                status="ok",
                observables=observables,
                curve=claims[1],
                telemetry=telemetry,
                started_at=started_at,
                create_s=result.create_s,
                startup_s=result.startup_s,
                budget_s=result.budget_s,
                finish_s=result.finish_s,
                log_tail=result.log_tail,
            )
            verdict = self._judge_machine_first(request, result, telemetry, observables)
            if verdict is not None:
                outcome = _with(outcome, status=verdict[0], reason=verdict[1], detail=verdict[2])
            else:
                outcome = self._evaluate_all(request, artifact, outcome, phases)
            return _with(outcome, wall_s=phases.total_s, phases=phases.seconds)

    def _train(self, request: RunRequest, seen: Path, asset: Path, artifact: Path, phases: Phases) -> tuple[ExecResult, Telemetry]:
        task = self._loaded.task
        spec = sandbox.Spec(
            command=tuple(task.train.command),
            folders={"TASK": seen, "ASSET": asset, "DATA": request.corpus.splits["train"]},
            limits=task.train.limits,
            device=self._device,
            seed=request.seed,
            budget_s=self._preset.budget_s,
            params=self._preset.params,
            clock=task.clock,
            startup_calibrated_s=request.startup_calibrated_s,
            collect=tuple(task.artifact),
            profile=msgspec.json.encode(self._profile),
            labels={"night": request.night_id, "run": str(request.run)},
        )
        phases.end("prepare")
        with self._sandbox.create(spec) as box:
            phases.end("create")
            monitor = hardware.Monitor(self._device, box.pid)

            def check(folder: Path) -> tuple[Reason, str] | None:
                phases.end("import")
                refused = tasks.run_checks(self._loaded, "mark", folder)
                if refused is None:
                    monitor.start()  # the engine's own work before and after the clock is no disturbance
                phases.end("mark")
                return refused

            def stopped() -> None:
                phases.end("budget")
                monitor.stop()

            result = box.run(artifact, check, stopped)
        phases.end("collect" if result.marked else "import")
        phases.split("import", result.startup_s, "startup")
        phases.split("budget", max(0.0, (result.train_s or 0.0) - (result.budget_s or 0.0)), "finish")
        if result.done and result.refused is None:
            refused = tasks.run_checks(self._loaded, "end", artifact)
            if refused is not None:
                result = msgspec.structs.replace(result, refused_reason=refused[0], refused=refused[1])
        phases.end("check")
        return result, monitor.stop()

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

    def _evaluate_all(self, request: RunRequest, artifact: Path, outcome: RunOutcome, phases: Phases) -> RunOutcome:
        scores: list[Score] = []
        for split in request.splits:
            status, reason, detail, score = self._evaluate(request, artifact, split)
            phases.end("evaluate")
            if score is None:
                return _with(outcome, status=status, reason=reason, detail=detail, evaluate_s=phases.seconds["evaluate"])
            scores.append(score)
        return _with(outcome, scores=scores, evaluate_s=phases.seconds.get("evaluate"))

    def _evaluate(self, request: RunRequest, artifact: Path, split: str) -> tuple[str, Reason | None, str | None, Score | None]:
        task = self._loaded.task
        with tempfile.TemporaryDirectory(prefix="appliance-score-") as name, task_view(self._loaded, task.evaluate) as seen:
            out = Path(name)
            out.chmod(0o755)
            wanted = self._preset.evaluation.get(split)
            spec = sandbox.Spec(
                command=tuple(task.evaluate.command),
                folders={"TASK": seen, "ARTIFACT": artifact, "DATA": request.corpus.splits[split]},
                limits=task.evaluate.limits,
                device=self._device,
                seed=request.seed,
                params={**self._preset.params, "split": split, "evaluation_bytes": wanted, "per_document": request.per_document},
                timeout_s=task.evaluate.timeout_s,
                collect=(_SCORE_FILE,),
                profile=msgspec.json.encode(self._profile),
                labels={"night": request.night_id, "run": str(request.run)},
            )
            result = sandbox.execute(self._sandbox, spec, out)
            try:
                answer = json.loads((out / "score.json").read_bytes())
            except (OSError, ValueError):
                return "rejected", Reason.EVALUATION_FAILED, result.log_tail.strip()[-300:] or result.refused, None
        if answer.get("valid") is not True:
            known = answer.get("reason") in set(Reason)
            return "rejected", Reason(answer["reason"]) if known else Reason.EVALUATION_FAILED, answer.get("detail"), None
        return "ok", None, None, msgspec.convert({**answer["scores"][0], "split": split}, Score)


@contextlib.contextmanager
def task_view(loaded: tasks.LoadedTask, command: Command) -> Iterator[Path]:
    """A folder with just the files that this command may see."""
    with tempfile.TemporaryDirectory(prefix="appliance-task-") as name:
        folder = Path(name)
        for file in command.files:
            source, target = loaded.folder / file, folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


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


def retrying(execution: Execution, request: RunRequest, *, attempts: int, wait_s: float, note: Callable[[str], None]) -> RunOutcome:
    """`execution.run`, again with growing pauses while the sandbox itself fails.

    Raises:
        SandboxError: it failed `attempts` times in a row.
    """
    for attempt in range(1, attempts + 1):
        try:
            return execution.run(request)
        except SandboxError as error:
            if attempt == attempts:
                raise
            note(f"the sandbox failed ({error}); again in {wait_s:g} s")
            time.sleep(wait_s)
            wait_s *= 2
    raise AssertionError("unreachable")
