"""One run by hand: the quickest way to see whether an asset works in the sandbox."""

from pathlib import Path

from appliance.errors import UsageError
from appliance.workflows.execution import RunOutcome, RunRequest, SandboxExecution
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.workplace import make_ready


def run_once(
    asset: Path | None, task: str, preset: str | None, seed: int, device: str | None, kind: SandboxKind, progress: Progress
) -> RunOutcome:
    """Run an asset once and score it on val.

    Raises:
        UsageError: the asset cannot be read, or the task has several files to edit.
    """
    work = make_ready(task=task, device=device, preset=preset, kind=kind, hours=None, progress=progress)
    files = work.loaded.reference(work.preset)
    if asset is not None:
        if len(files) != 1:
            raise UsageError(f"task {work.loaded.task.name} has {len(files)} editable files; `run` takes one")
        try:
            files = {next(iter(files)): asset.read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{asset} cannot be read as text: {error}") from error
    progress.phase("run", f"{work.preset.budget_s:g} s")
    execution = SandboxExecution(place=work.place, loaded=work.loaded, preset=work.preset, device=work.device, profile=work.profile)
    outcome = execution.run(RunRequest(night_id="single", run=0, seed=seed, files=files, corpus=work.first))
    progress.phase("end")
    return outcome
