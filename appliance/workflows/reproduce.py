"""A night's result in one file, and a stranger's file put to the test on this machine."""

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from appliance import exchange, judge, ledger, paths, tasks
from appliance.errors import ApplianceError, UsageError
from appliance.records import Estimate, Score
from appliance.workflows.execution import RunRequest, SandboxExecution
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.runs import derive_seed
from appliance.workflows.workplace import make_ready

Answer = Literal["reproduced", "not reproduced", "not comparable"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """What fresh runs say of a bundle's claim."""

    answer: Answer
    sentence: str
    bundle_sha256: str
    declared: Estimate | None
    measured: Estimate
    seeds: list[int]


def bundle(folder: Path, target: Path) -> str:
    """Pack a night's result; the archive's SHA-256.

    Raises:
        UsageError: the night has no winner, or is imported.
    """
    night = ledger.read(folder)
    winner = night.state.incumbent_sha256
    if winner is None or night.state.incumbent == 0:
        raise UsageError(f"night {folder.name} kept nothing: there is no winner to bundle")
    confirming = [run for run in night.runs if run.kind == "confirm" and run.status == "ok" and run.seed is not None]
    lock = [paths.share("docker") / name for name in ("Dockerfile", "requirements.txt")]
    return exchange.write_bundle(
        target,
        plan=night.plan,
        confirmation=night.state.confirmation,
        winner_sha256=winner,
        winner=ledger.load_asset(folder, winner),
        baseline=ledger.load_asset(folder, night.plan.baseline_sha256),
        task_folder=tasks.load(night.plan.task_source).folder,
        image_lock={file.name: file.read_text() for file in lock},
        seeds={
            "baseline": [run.seed for run in confirming if run.experiment == 0 and run.seed is not None],
            "winner": [run.seed for run in confirming if run.experiment == night.state.incumbent and run.seed is not None],
        },
    )


def reproduce(file: Path, pairs: int, kind: SandboxKind, device: str | None, progress: Progress) -> Reproduction:
    """Verify a bundle, rebuild what it stands on, and run winner and baseline afresh, interleaved.

    Raises:
        UsageError: the bundle is damaged, or this machine cannot rebuild what it declares (task, data or image differ).
        ApplianceError: too few runs succeeded to say anything.
    """
    if pairs < 2:
        raise UsageError("an interval needs at least two pairs: --runs 2 or more")
    opened = exchange.open_bundle(file)
    manifest = opened.manifest
    progress.note(f"bundle {opened.sha256[:12]} of night {manifest.night_id}: task {manifest.task}, preset {manifest.preset_name}")
    for name, files, declared in (
        ("winner", opened.winner, manifest.winner_sha256),
        ("baseline", opened.baseline, manifest.baseline_sha256),
    ):
        if ledger.asset_sha256(files) != declared:
            raise UsageError(f"{file}: its {name} is not the one its manifest names")
    with tempfile.TemporaryDirectory(prefix="appliance-bundle-") as name:
        exchange.write_task(opened, Path(name))
        work = make_ready(task=name, device=device, preset=manifest.preset_name, kind=kind, hours=None, progress=progress)
        for what, then, now in (
            ("task", manifest.task_sha256, work.loaded.sha256),
            ("data", manifest.data_sha256, work.first.sha256),
        ):
            if then is not None and then != now:
                raise UsageError(f"{file}: the {what} rebuilt here is {now[:12]}, the bundle declares {then[:12]}")
        if manifest.image_digest is not None and manifest.image_digest != work.place.image_digest:
            progress.note("the image rebuilt here has another digest (another base or other wheels): the numbers are compared all the same")
        progress.phase("reproduce", f"{pairs} pairs of {work.preset.budget_s:g} s")
        execution = SandboxExecution(place=work.place, loaded=work.loaded, preset=work.preset, device=work.device, profile=work.profile)
        scores: dict[str, list[Score]] = {"baseline": [], "winner": []}
        seeds = []
        for pair in range(pairs):
            seed = derive_seed(int(opened.sha256[:8], 16), f"{Path(name).name}/{pair}")
            seeds.append(seed)
            for label, files in (("baseline", opened.baseline), ("winner", opened.winner)):
                request = RunRequest(
                    night_id="reproduce", run=pair, seed=seed, files=files, corpus=work.first, splits=("test",), per_document=True
                )
                outcome = execution.run(request)
                if outcome.status != "ok":
                    raise ApplianceError(f"the {label} does not run here: {outcome.reason}: {outcome.detail}")
                scores[label].append(outcome.scores[0])
                progress.note(f"pair {pair + 1}: {label} {outcome.scores[0].score:.5f}")
        documents = all(s.documents for label in scores for s in scores[label])
        measured = judge.estimate(
            "test",
            work.loaded.task.metric,
            [s.score for s in scores["baseline"]],
            [s.score for s in scores["winner"]],
            [s.documents for s in scores["baseline"]] if documents else (),
            [s.documents for s in scores["winner"]] if documents else (),
        )
        progress.phase("end")
        same_class = work.device.slug == manifest.device.slug and work.device.name == manifest.device.name
        answer, sentence = compare(manifest.expected, measured, [s.score for s in scores["winner"]], same_class)
        return Reproduction(
            answer=answer, sentence=sentence, bundle_sha256=opened.sha256, declared=manifest.expected, measured=measured, seeds=seeds
        )


def compare(declared: Estimate | None, measured: Estimate, winner: list[float], same_class: bool) -> tuple[Answer, str]:
    """Hold fresh runs against the declared interval, widened by the spread of one fresh run: the interval is of a mean of other seeds."""
    spread = statistics.stdev(winner) if len(winner) > 1 else 0.0
    found = f"winner minus baseline on test {measured.difference:+.5f} ({measured.interval_low:+.5f} to {measured.interval_high:+.5f})"
    if not same_class:
        return "not comparable", f"another device class ran it: {found}"
    if declared is None:
        return "not comparable", f"the bundle declares no interval: {found}"
    said = f"declared {declared.difference:+.5f} ({declared.interval_low:+.5f} to {declared.interval_high:+.5f})"
    off = abs(measured.winner_mean - declared.winner_mean)
    inside = declared.interval_low - spread <= measured.difference <= declared.interval_high + spread
    if inside:
        return "reproduced", f"{found}; {said}"
    return "not reproduced", f"{found}; {said}; the winner's mean is off by {off:.5f}"


def junit(result: Reproduction, file: Path) -> None:
    """The answer as JUnit XML, for CI."""
    suite = ElementTree.Element("testsuite", name="appliance reproduce", tests="1", failures=str(int(result.answer == "not reproduced")))
    case = ElementTree.SubElement(suite, "testcase", classname="bundle", name=result.bundle_sha256[:12])
    if result.answer == "not reproduced":
        ElementTree.SubElement(case, "failure", message=result.sentence)
    elif result.answer == "not comparable":
        ElementTree.SubElement(case, "skipped", message=result.sentence)
    ElementTree.SubElement(suite, "system-out").text = result.sentence
    ElementTree.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)
