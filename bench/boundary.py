"""`make bench-boundary`: what it costs a run that its score is made by somebody else.

    python bench/boundary.py [--runs 5] [--preset cpu-quick] [--device WHICH] [--sandbox docker]

Real runs of the preset's unchanged asset. The cost of the boundary is what a loop without one would not do: the phases `mark` and `check`
(the host's checks of graph and weights), `collect` (weights copied out of the dead container) and `evaluate` (a second container that
imports, rebuilds the graph, argues that it is causal, scores, and scores again with the future replaced). Beside it the same artifacts are
scored in one process of the same image that has them loaded already: no second container, no proof. Boxes are made when their turn comes; a
night makes them ahead, so this is the most that a night pays. Run it on an idle machine.

Last line: JSON with `boundary_s`, `in_process_s`, `extra_s` (the difference), seconds per run, medians. Exit 1 where the two scores differ.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from appliance import sandbox
from appliance.errors import ApplianceError
from appliance.records import ArtifactFile
from appliance.workflows.execution import RunOutcome, RunRequest, SandboxExecution
from appliance.workflows.progress import Silent
from appliance.workflows.workplace import Workplace, make_ready

BOUNDARY = ("mark", "collect", "check", "evaluate")
"""Phases of a run that only the boundary asks for."""
SAME_SCORE = 1e-6
"""Bits per byte, relative: the same operations on the same numbers."""
_INSIDE = Path(__file__).parent / "score_in_process.py"
_ANSWER = ArtifactFile(name="score.json", at="end", max_bytes=1 << 16)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One run, and its artifact scored in one process."""

    phases: dict[str, float]
    wall_s: float
    in_process_s: float
    difference: float
    """Between the two scores, relative."""

    @property
    def boundary_s(self) -> float:
        """Of all phases that the boundary asks for."""
        return sum(self.phases.get(name, 0.0) for name in BOUNDARY)


class Keeping:
    """A sandbox that keeps a copy of the artifact that an evaluate box is made for."""

    def __init__(self, place: sandbox.Sandbox, folder: Path) -> None:
        self._place, self._folder = place, folder

    def __getattr__(self, name: str) -> object:
        return getattr(self._place, name)

    def create(self, spec: sandbox.Spec) -> sandbox.Box:
        """As the sandbox itself."""
        if "ARTIFACT" in spec.folders:
            shutil.copytree(spec.folders["ARTIFACT"], self._folder, dirs_exist_ok=True)
        return self._place.create(spec)


def measure(work: Workplace, number: int) -> Pair:
    """One run, then its artifact once more.

    Raises:
        ApplianceError: the run got no score.
    """
    with tempfile.TemporaryDirectory(prefix="appliance-bench-") as name:
        artifact = Path(name) / "artifact"
        place: sandbox.Sandbox = Keeping(work.place, artifact)  # type: ignore[assignment]
        execution = SandboxExecution(place=place, loaded=work.loaded, preset=work.preset, device=work.device, profile=work.profile)
        files = work.loaded.reference(work.preset)
        try:
            outcome = execution.run(RunRequest(night_id="bench-boundary", run=number, seed=number, files=files, corpus=work.first))
        finally:
            execution.close()
        if outcome.status != "ok":
            raise ApplianceError(f"run {number} got no score: {outcome.reason}: {outcome.detail or outcome.log_tail[-300:]}")
        seconds, score = _in_process(work, artifact, Path(name))
    return _pair(outcome, seconds, score)


def _pair(outcome: RunOutcome, seconds: float, score: float) -> Pair:
    told = outcome.scores[0].score
    return Pair(phases=outcome.phases, wall_s=outcome.wall_s or 0.0, in_process_s=seconds, difference=abs(score - told) / told)


def _in_process(work: Workplace, artifact: Path, folder: Path) -> tuple[float, float]:
    """(seconds, score) of one reading by a process that has the artifact loaded."""
    task, out = folder / "task", folder / "out"
    shutil.copytree(work.loaded.folder / "evaluator", task / "evaluator", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(_INSIDE, task)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    command = work.loaded.task.evaluate
    spec = sandbox.Spec(
        command=("python", "-P", f"{{task}}/{_INSIDE.name}"),
        folders={"TASK": task, "ARTIFACT": artifact, "DATA": work.first.splits["val"]},
        limits=command.limits,
        device=work.device,
        params={**work.preset.params, "evaluation_bytes": work.preset.evaluation["val"]},
        timeout_s=command.timeout_s,
        collect=(_ANSWER,),
    )
    result = sandbox.execute(work.place, spec, out)
    try:
        answer = json.loads((out / _ANSWER.name).read_bytes())
    except (OSError, ValueError) as error:
        raise ApplianceError(f"the artifact could not be scored in one process: {result.log_tail[-500:]}") from error
    return float(answer["seconds"]), float(answer["score"])


def show(pairs: list[Pair]) -> dict[str, float]:
    """Print the table; the last line's numbers."""
    names = list(dict.fromkeys(name for pair in pairs for name in pair.phases))
    print(f"{'phase':12}{'median s':>10}{'least':>10}{'most':>10}   boundary")
    for name in names:
        seconds = [pair.phases.get(name, 0.0) for pair in pairs]
        print(f"{name:12}{median(seconds):10.3f}{min(seconds):10.3f}{max(seconds):10.3f}   {'yes' if name in BOUNDARY else ''}")
    boundary_s, in_process_s = median(pair.boundary_s for pair in pairs), median(pair.in_process_s for pair in pairs)
    extra_s = median(pair.boundary_s - pair.in_process_s for pair in pairs)
    wall_s = median(pair.wall_s for pair in pairs)
    print(f"\n{'whole run':32}{wall_s:8.3f} s, {len(pairs)} runs")
    print(f"{'with the boundary':32}{boundary_s:8.3f} s after and beside the training")
    print(f"{'scored in one process':32}{in_process_s:8.3f} s")
    print(f"{'the boundary costs':32}{extra_s:8.3f} s a run, {extra_s / wall_s:.1%} of it")
    return {"boundary_s": round(boundary_s, 3), "in_process_s": round(in_process_s, 3), "extra_s": round(extra_s, 3)}


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--preset", default="cpu-quick")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: at least one")
    try:
        work = make_ready(task="trainer", device=options.device, preset=options.preset, kind=options.sandbox, hours=None, progress=Silent())
        pairs = [measure(work, number) for number in range(1, options.runs + 1)]
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    numbers = show(pairs)
    worst = max(pair.difference for pair in pairs)
    if worst > SAME_SCORE:
        print(f"the two scores differ by {worst:.1e}", file=sys.stderr)
    print(json.dumps(numbers))
    return int(worst > SAME_SCORE)


if __name__ == "__main__":
    sys.exit(main())
