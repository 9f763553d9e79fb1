"""From a dataset's name to prepared splits: fetched by hash on the host, prepared by the task's command in the sandbox, once."""

import shutil
from collections.abc import Callable
from pathlib import Path

from appliance import data, hardware, sandbox, tasks, temporary
from appliance.errors import ApplianceError, UsageError
from appliance.records import Device
from appliance.workflows.execution import Corpus
from appliance.workflows.place import SandboxKind, open_place
from appliance.workflows.progress import Progress
from appliance.workflows.view import task_view


def corpus(loaded: tasks.LoadedTask, name: str, place: sandbox.Sandbox, device: Device, note: Callable[[str], None]) -> Corpus:
    """The dataset's splits; fetched and prepared where that has not been done.

    Raises:
        UsageError: the task has no such dataset, or no `prepare` command.
        ApplianceError: it could not be fetched or prepared.
    """
    source, command = loaded.dataset(name), loaded.task.prepare
    if command is None:
        raise UsageError(f"task {loaded.task.name} has no [prepare] command and so no data of its own")
    sources = {name: source}
    if source.transfer is not None:
        sources[source.transfer] = loaded.dataset(source.transfer)
    folders = {label: data.fetch(label, s, _told(note), task_folder=loaded.folder) for label, s in sources.items()}
    params = {"dataset": name, "transfer": source.transfer, **source.compatible}
    key = data.key_of(
        task=loaded.task.name,
        dataset=name,
        sources={label: data.source_digest(label, s, task_folder=loaded.folder) for label, s in sources.items()},
        code=data.code_digest(loaded.folder / file for file in command.files),
        params=params,
    )

    def make(out: Path) -> None:
        note(f"preparing {name}: text into splits (once)")
        with temporary.folder("raw") as raw, task_view(loaded, command) as seen:
            for label, folder in folders.items():
                shutil.copytree(folder, raw / label)
            _readable(raw)
            spec = sandbox.Spec(
                command=tuple(command.command),
                folders={"TASK": seen, "RAW": raw},
                device=device,
                limits=command.limits,
                params=params,
                timeout_s=command.timeout_s,
                out_folder=out,
                labels={"prepare": name},
            )
            result = sandbox.execute(place, spec, out)
        if not result.done:
            lines = result.log_tail.strip().splitlines() or ["it said nothing"]
            raise ApplianceError(f"dataset {name} could not be prepared: {lines[-1][:300]}")

    prepared = data.prepared(loaded.task.name, name, key, make)
    return Corpus(name=name, sha256=prepared.sha256, splits=data.splits(prepared.folder))


def _told(note: Callable[[str], None]) -> data.Progress:
    """Transfers as lines: one at the start of each file and one for each further tenth."""
    seen: dict[str, int] = {}

    def told(what: str, done: int, total: int | None) -> None:
        tenth = 10 * done // total if total else done // (64 << 20)
        if seen.get(what) != tenth:
            seen[what] = tenth
            note(f"fetching {what}: {done / 1e6:.0f}{f' of {total / 1e6:.0f}' if total else ''} MB")

    return told


def _readable(folder: Path) -> None:
    """The sandbox's user is nobody."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def fetch_here(name: str, task: str, device: str | None, kind: SandboxKind, progress: Progress) -> Corpus:
    """`corpus` for this machine, from names alone."""
    loaded = tasks.load(task)
    loaded.dataset(name)
    chosen = hardware.choose(hardware.detect(), device)
    place, _ = open_place(kind, chosen, progress)
    progress.phase("data", name)
    prepared = corpus(loaded, name, place, chosen, progress.note)
    progress.phase("end")
    return prepared
