"""A stranger's bundle put to the test on this machine.

In this order: its bytes, its own consistency, its task, then image and data, and only then runs. Until the runs nothing of the bundle is
executed. A task that is shipped with this package is recognised by its digest and taken from here; of any other the checks that a task
may run on the host are left out, so the bundle's code runs in the sandbox alone.
"""

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from appliance import exchange, judge, ledger, paths, profiles, tasks, temporary
from appliance.errors import ApplianceError, UsageError
from appliance.exchange import Answer, Bundle, FreshRun, Reproduction
from appliance.records import Command, Estimate, Metric
from appliance.workflows.bundle import image_lock
from appliance.workflows.execution import Execution, SandboxExecution
from appliance.workflows.pairs import Pairs, Side
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.runs import throughput_of
from appliance.workflows.workplace import Workplace, make_ready

_MEMORY_SHARE = 0.8


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a person asks of a reproduction."""

    file: Path
    pairs: int = 4
    sandbox: SandboxKind = "docker"
    device: str | None = None
    junit: Path | None = None
    """JUnit XML is written here, whatever the outcome."""
    report: Path | None = None
    """The answer as Markdown."""


def reproduce(options: Options, progress: Progress) -> Reproduction:
    """Verify a bundle, rebuild what it stands on, run winner and baseline afresh, and say whether its claim holds.

    Raises:
        UsageError: the bundle is damaged or contradicts itself, or what is rebuilt here is not what it names.
        PrerequisiteError: something is missing; the message names the mend.
        ApplianceError: a step failed, or the machine is too busy to measure on.
    """
    for target in (options.junit, options.report):
        if target is not None and not target.absolute().parent.is_dir():
            raise UsageError(f"{target} cannot be written: there is no folder {target.absolute().parent}")
        if target is not None:
            target.unlink(missing_ok=True)  # an older answer must not be taken for this one
    name = options.file.name
    try:
        result = _reproduce(options, progress)
    except ApplianceError as error:
        if options.junit:
            exchange.write_whole(options.junit, exchange.junit(name, "error", str(error)))
        raise
    finally:
        progress.phase("end")
    if options.junit:
        exchange.write_whole(options.junit, exchange.junit(name, result.answer, result.sentence, result.wall_s, result.started_at))
    if options.report:
        exchange.write_whole(options.report, exchange.markdown(result).encode())
    return result


def _reproduce(options: Options, progress: Progress) -> Reproduction:
    progress.phase("verify", options.file.name)
    opened = exchange.open_bundle(options.file)
    manifest = opened.manifest
    progress.note(f"bundle {opened.sha256[:12]} of night {manifest.night_id}: task {manifest.task}, preset {manifest.preset_name}")
    with checked_task(opened, progress) as loaded:
        work = make_ready(
            task=loaded, device=options.device, preset=manifest.preset_name, kind=options.sandbox, hours=None, progress=progress
        )
        for what, then, now in (
            ("data", manifest.data_sha256, work.first.sha256),
            ("second corpus", manifest.transfer_sha256, work.second.sha256 if work.second else None),
        ):
            if then != now:
                raise UsageError(f"{options.file.name}: the {what} prepared here is {_short(now)}, the bundle names {_short(then)}")
        execution = SandboxExecution(place=work.place, loaded=loaded, preset=work.preset, device=work.device, profile=work.profile)
        with ledger.DeviceLock(work.device.uuid or work.device.slug):
            return measure(opened, work, execution, options.pairs, progress)


@contextlib.contextmanager
def checked_task(opened: Bundle, progress: Progress) -> Iterator[tasks.LoadedTask]:
    """The bundle's task, checked against what the bundle says of it, fit to be run here.

    Raises:
        UsageError: its parts contradict each other.
    """
    manifest = opened.manifest
    with temporary.folder("bundle") as folder:
        exchange.write_task(opened, folder)
        loaded = tasks.load(str(folder))
        wrong = None
        if loaded.sha256 != manifest.task_sha256:
            wrong = f"its task is {_short(loaded.sha256)}, its manifest names {_short(manifest.task_sha256)}"
        elif loaded.task.presets.get(manifest.preset_name) != manifest.preset:
            wrong = f"its task has another preset {manifest.preset_name}"
        for asset, files, declared in (
            ("winner", opened.winner, manifest.winner_sha256),
            ("baseline", opened.baseline, manifest.baseline_sha256),
        ):
            if ledger.asset_sha256(files) != declared:
                wrong = f"its {asset} is not the one that its manifest names"
            elif set(files) != set(loaded.task.asset.files):
                wrong = f"its {asset} has other files than its task's asset"
        if wrong:
            raise UsageError(f"bundle {opened.sha256[:12]} contradicts itself: {wrong}")
        shipped = _shipped(loaded.sha256)
        if shipped is None:
            progress.note("its task is not one of this installation: what it would run outside the sandbox is left out")
        yield shipped or _tamed(loaded)


def _shipped(sha256: str) -> tasks.LoadedTask | None:
    """The task of this installation that judges exactly so."""
    for file in (paths.share("trainer") / "task.toml", *sorted(paths.share("examples").glob("*/task.toml"))):
        loaded = tasks.load(str(file))
        if loaded.sha256 == sha256:
            return loaded
    return None


def _tamed(loaded: tasks.LoadedTask) -> tasks.LoadedTask:
    """A stranger's task without what runs on the host, and without a say in how much of this machine's memory it gets.

    Its checks protect its own evaluator from its own assets; who wrote all three gains nothing by our running them.
    """

    def within(command: Command) -> Command:
        limits = msgspec.structs.replace(
            command.limits,
            memory_bytes=None,
            memory_share=min(_MEMORY_SHARE, command.limits.memory_share),
            log_bytes=min(1 << 20, command.limits.log_bytes),
        )
        return msgspec.structs.replace(command, limits=limits)

    task = loaded.task
    tamed = msgspec.structs.replace(
        task,
        checks=[],
        estimate=None,
        train=within(task.train),
        evaluate=within(task.evaluate),
        prepare=within(task.prepare) if task.prepare else None,
    )
    return dataclasses.replace(loaded, task=tamed)


def measure(opened: Bundle, work: Workplace, execution: Execution, pairs: int, progress: Progress) -> Reproduction:
    """Fresh pairs, and what they say.

    Raises:
        ApplianceError: the machine is too busy, or the sandbox fails.
    """
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    manifest, metric = opened.manifest, work.loaded.task.metric
    declared = [pair.winner - pair.baseline for pair in manifest.pairs]
    prediction = judge.predict(declared, pairs, metric) if len(declared) > 1 else None
    progress.phase("reproduce", f"{pairs} pairs of {work.preset.budget_s:g} s")
    if prediction:
        progress.note(f"winner minus baseline is to lie between {prediction.low:+.5f} and {prediction.high:+.5f} {metric.unit}")
    fresh = Pairs(
        execution=execution,
        corpus=work.first,
        throughput_name=throughput_of(work.loaded.task),
        baseline=Side("baseline", opened.baseline),
        winner=Side("winner", opened.winner),
        progress=progress,
    )
    failed = fresh.run(fresh_seeds(pairs, [pair.seed for pair in manifest.pairs]))
    measured = None if failed else _estimate(metric, fresh)
    other = None if profiles.measured_on_such(msgspec.to_builtins(manifest.device), work.device) else manifest.device.name
    answer, sentence = verdict(manifest.expected, prediction, measured, failed, metric, other)
    return Reproduction(
        answer=answer,
        sentence="".join(c if c.isprintable() else "\ufffd" for c in sentence),  # names and details in it are a stranger's
        bundle_sha256=opened.sha256,
        night_id=manifest.night_id,
        task=manifest.task,
        preset_name=manifest.preset_name,
        metric=metric.name,
        unit=metric.unit,
        device=msgspec.structs.replace(work.device, uuid=None, processes=None),
        differs=differences(opened, work),
        declared=manifest.expected,
        predicted=(prediction.low, prediction.high) if prediction else None,
        measured=measured,
        runs=fresh.runs,
        started_at=started_at,
        wall_s=time.monotonic() - began,
    )


def fresh_seeds(count: int, used: list[int]) -> list[int]:
    """Seeds that nobody chose and the bundle has not seen, all different."""
    seeds: list[int] = []
    while len(seeds) < count:
        seed = secrets.randbelow(2**31)
        if seed not in used and seed not in seeds:
            seeds.append(seed)
    return seeds


def verdict(
    declared: Estimate | None,
    prediction: judge.Prediction | None,
    measured: Estimate | None,
    failed: FreshRun | None,
    metric: Metric,
    other_device: str | None,
) -> tuple[Answer, str]:
    """The answer and its reason.

    Reproduced: same class of device, the fresh mean difference lies in the prediction, and where the declared gain held, it is a gain
    here too (a wide prediction alone would let no difference at all pass).
    """
    if measured is None:
        assert failed is not None
        found = f"the {failed.asset} does not run here: {failed.reason or failed.status}{f' ({failed.detail})' if failed.detail else ''}"
    else:
        found = f"winner minus baseline on test is {_interval(measured)} {metric.unit} over {measured.pairs} fresh pairs"
    if other_device is not None:
        return "not comparable", f"the bundle is of another class of device ({other_device}); here {found}"
    if declared is None or prediction is None:
        return "not comparable", f"the bundle declares no interval: its winner was not confirmed; here {found}"
    claim = f"declared {_interval(declared)}, so their mean was to lie between {prediction.low:+.5f} and {prediction.high:+.5f}"
    if measured is None:
        return "not reproduced", f"{found}; {claim}"
    off = prediction.outside(measured.difference)
    if off:
        better = judge.gains(off, metric)
        return "not reproduced", f"{found}; {claim}: {abs(off):.5f} beyond it, on the {'better' if better else 'worse'} side"
    if declared.holds and not judge.gains(measured.difference, metric):
        return "not reproduced", f"{found}; {claim}: inside, but the gain of {declared.difference:+.5f} is not there"
    return "reproduced", f"{found}; {claim}"


def differences(opened: Bundle, work: Workplace) -> list[str]:
    """What is not as it was for the bundle's night, besides the device: each may move scores a little, none decides the answer."""
    manifest, plan = opened.manifest, opened.plan
    found = []
    changed = [name for name, text in image_lock().items() if opened.image_lock.get(name) != text]
    if changed:
        found.append(f"the image is built here from another {' and '.join(changed)}")
    for what, then, now in (
        ("image digest", manifest.image_digest, work.place.image_digest),
        ("isolation", manifest.isolation, work.place.isolation),
        ("driver", manifest.device.driver, work.device.driver),
        ("torch", plan.versions.get("torch"), work.versions.get("torch")),
    ):
        if then != now:
            found.append(f"{what}: {_short(now)} here, {_short(then)} there")
    return found


def _estimate(metric: Metric, fresh: Pairs) -> Estimate:
    baseline, winner = fresh.baseline.scores, fresh.winner.scores
    whole = all(score.documents for score in (*baseline, *winner))
    return judge.estimate(
        "test",
        metric,
        [score.score for score in baseline],
        [score.score for score in winner],
        [score.documents for score in baseline] if whole else (),
        [score.documents for score in winner] if whole else (),
    )


def _interval(estimate: Estimate) -> str:
    return f"{estimate.difference:+.5f} ({estimate.interval_low:+.5f} to {estimate.interval_high:+.5f})"


def _short(value: str | None) -> str:
    """A digest's beginning, a short value whole."""
    return "none" if value is None else value[:19]
