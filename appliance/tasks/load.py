"""Reading `task.toml`: found by name or path, checked key by key, and named by a digest of everything that judges."""

import difflib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance import paths
from appliance.errors import UsageError
from appliance.records import FORMAT_VERSION, DatasetSource, Device, Preset, Record, Task
from appliance.records.task import Command
from appliance.tasks.constants import read_constants, replace_constants


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedTask:
    """A task and the folder it lies in."""

    task: Task
    folder: Path
    sha256: str
    """Over `task.toml` and every file that a command may see: changes when what judges changes."""

    def asset(self) -> dict[str, str]:
        """Editable file → text, as the task ships it."""
        return {name: (self.folder / name).read_text(encoding="utf-8") for name in self.task.asset.files}

    def reference(self, preset: Preset) -> dict[str, str]:
        """The asset with the preset's constants put in: what a night starts from."""
        return replace_constants(self.asset(), preset.constants)

    def program(self) -> str:
        """What an agent is told."""
        return (self.folder / self.task.asset.program).read_text(encoding="utf-8")

    def dataset(self, name: str) -> DatasetSource:
        """The source of a dataset.

        Raises:
            UsageError: the task has none of that name.
        """
        if name not in self.task.datasets:
            raise UsageError(f"task {self.task.name} has no dataset {name!r}{_suggest(name, self.task.datasets)}")
        return self.task.datasets[name]


def load(name: str) -> LoadedTask:
    """The task of that name, or in that folder.

    Raises:
        UsageError: there is none, or its `task.toml` is wrong; the message names the key.
    """
    folder = _find(name)
    file = folder / "task.toml"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    task = _decode(text, file)
    _check(task, folder, file)
    return LoadedTask(task=task, folder=folder, sha256=_digest(task, folder))


def find_preset(task: Task, device: Device, name: str | None, hours: float | None) -> tuple[str, Preset]:
    """The preset of that name, or the default for this device and length of night.

    Raises:
        UsageError: no such preset, or none for this kind of device.
    """
    if name is not None:
        if name not in task.presets:
            raise UsageError(f"task {task.name} has no preset {name!r}{_suggest(name, task.presets)}")
        preset = task.presets[name]
        if device.kind not in preset.device_kinds:
            raise UsageError(f"preset {name!r} is for {' and '.join(preset.device_kinds)}, the device {device.name} is a {device.kind}")
        return name, preset
    fitting = {n: p for n, p in task.presets.items() if device.kind in p.device_kinds and _fits(p, device)}
    if not fitting:
        raise UsageError(f"task {task.name} has no preset for a {device.kind} of this size; name one with --preset or add it to task.toml")
    short = [n for n, p in fitting.items() if hours is not None and p.short_night_hours is not None and hours < p.short_night_hours]
    long = [n for n, p in fitting.items() if p.short_night_hours is None]
    chosen = (short or long or list(fitting))[0]
    return chosen, fitting[chosen]


def _fits(preset: Preset, device: Device) -> bool:
    needed, there = preset.min_memory_bytes, device.memory_total_bytes
    return needed is None or (there is not None and there >= needed)


def _find(name: str) -> Path:
    folder = Path(name)
    if folder.name == "task.toml":
        folder = folder.parent
    if (folder / "task.toml").is_file():
        return folder.resolve()
    shipped = paths.share(name) if re.fullmatch(r"[a-z0-9_-]+", name) else None
    if shipped is not None and (shipped / "task.toml").is_file():
        return shipped
    raise UsageError(f"no task {name!r}: give a folder with a task.toml, or `trainer`, the one that is shipped")


def _decode(text: str, file: Path) -> Task:
    try:
        task = msgspec.toml.decode(text, type=Task)
    except msgspec.ValidationError as error:
        raise UsageError(f"{file}: {_explain(str(error), text)}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    if task.format_version > FORMAT_VERSION:
        raise UsageError(f"{file}: format_version {task.format_version} is newer than this appliance reads ({FORMAT_VERSION}): update it")
    return task


def _explain(message: str, text: str) -> str:
    """msgspec's message with the near key added: what was misspelt, or what stands where something is missing."""
    unknown = re.search(r"unknown field `(\w+)`", message)
    missing = re.search(r"missing required field `(\w+)`", message)
    if unknown:
        return message + _suggest(unknown[1], _all_fields(Task))
    if missing:
        keys = re.findall(r"^\s*(\w+)\s*=|^\s*\[+[\w.]*?(\w+)\]+", text, re.MULTILINE)
        near = [key for pair in keys for key in pair if key and key not in _all_fields(Task)]
        hint = difflib.get_close_matches(missing[1], near, n=1)
        return message + (f": is `{hint[0]}` meant to be it?" if hint else "")
    return message


def _all_fields(record: type[Record], seen: set[type] | None = None) -> set[str]:
    seen = seen if seen is not None else set()
    names: set[str] = set()
    if record in seen:
        return names
    seen.add(record)
    for field in msgspec.structs.fields(record):
        names.add(field.name)
        for part in (field.type, *getattr(field.type, "__args__", ())):
            if isinstance(part, type) and issubclass(part, Record):
                names |= _all_fields(part, seen)
    return names


def _suggest(name: str, known: object) -> str:
    names = [str(n) for n in known]  # type: ignore[attr-defined]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(sorted(names))}"


def _check(task: Task, folder: Path, file: Path) -> None:
    """What types cannot say. Raises UsageError at the first thing that is wrong."""

    def wrong(message: str) -> UsageError:
        return UsageError(f"{file}: {message}")

    named = [*task.asset.files, task.asset.program, *(name for command in _commands(task).values() for name in command.files)]
    for name in named:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise wrong(f"{name!r} lies outside the task's folder")
    for name in [*task.asset.files, task.asset.program]:
        if not (folder / name).is_file():
            raise wrong(f"[asset] names {name!r}, which is not in {folder}")
    for label, command in _commands(task).items():
        for name in command.files:
            if not (folder / name).exists():
                raise wrong(f"[{label}] names {name!r}, which is not in {folder}")
            if label != "estimate" and any(asset == name or asset.startswith(f"{name}/") for asset in task.asset.files):
                raise wrong(f"[{label}] files contain the asset {name!r}: what judges must not be what is judged")
    constants = read_constants({name: (folder / name).read_text(encoding="utf-8") for name in task.asset.files})
    for name in task.constants:
        if name not in constants:
            raise wrong(f"[constants.{name}]: the asset has no such constant{_suggest(name, constants)}")
    for label, preset in task.presets.items():
        if preset.dataset not in task.datasets:
            raise wrong(f"[presets.{label}] names dataset {preset.dataset!r}{_suggest(preset.dataset, task.datasets)}")
        for name in preset.constants:
            if name not in constants:
                raise wrong(f"[presets.{label}] sets {name}, which the asset has not{_suggest(name, constants)}")
    for label, row in task.plausible.items():
        for name in row.claims:
            if name not in task.observables:
                raise wrong(f"[plausible.{label}] claims {name}, which is no observable{_suggest(name, task.observables)}")
    for label, source in task.datasets.items():
        if source.transfer is not None and source.transfer not in task.datasets:
            raise wrong(f"[datasets.{label}] names transfer {source.transfer!r}{_suggest(source.transfer, task.datasets)}")


def _commands(task: Task) -> dict[str, Command]:
    named = {"train": task.train, "evaluate": task.evaluate, "prepare": task.prepare, "estimate": task.estimate}
    return {label: command for label, command in named.items() if command is not None}


def _digest(task: Task, folder: Path) -> str:
    names = {"task.toml"}
    for command in _commands(task).values():
        names.update(command.files)
    for check in task.checks:
        names.update(part for part in check.command if (folder / part).is_file())
    files = sorted({file for name in names for file in _expand(folder / name)})
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _expand(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
