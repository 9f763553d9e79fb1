"""Everything a night stands on, made ready in the order of the design: device, image, profile, data."""

from dataclasses import dataclass
from pathlib import Path

from appliance import hardware, paths, sandbox, tasks
from appliance.errors import PrerequisiteError
from appliance.records import Device, Preset, Profile
from appliance.workflows.corpora import corpus
from appliance.workflows.execution import Corpus
from appliance.workflows.measure import profile_of
from appliance.workflows.place import SandboxKind, open_place
from appliance.workflows.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """A machine made ready for one task."""

    device: Device
    loaded: tasks.LoadedTask
    preset_name: str
    preset: Preset
    place: sandbox.Sandbox
    profile: Profile
    first: Corpus
    second: Corpus | None
    versions: dict[str, str]


def make_ready(
    *, task: str | tasks.LoadedTask, device: str | None, preset: str | None, kind: SandboxKind, hours: float | None, progress: Progress
) -> Workplace:
    """Detect, build, measure, fetch and prepare; what is there already costs nothing.

    Raises:
        UsageError: a name that is not there.
        PrerequisiteError: something is missing; the message names the mend.
        ApplianceError: a step failed.
    """
    loaded = tasks.load(task) if isinstance(task, str) else task
    progress.phase("detect")
    chosen = hardware.choose(hardware.detect(), device)
    preset_name, found = tasks.find_preset(loaded.task, chosen, preset, hours)
    progress.note(f"{chosen.name}; task {loaded.task.name}, preset {preset_name} ({found.budget_s:g} s a run)")
    place, versions = open_place(kind, chosen, progress)
    progress.phase("profile")
    environment = {**versions, "driver": chosen.driver, "image_digest": place.image_digest, "isolation": place.isolation}
    profile = profile_of(chosen, place, environment, progress.note)
    progress.phase("data")
    first = corpus(loaded, found.dataset, place, chosen, progress.note)
    transfer = loaded.dataset(found.dataset).transfer
    second = corpus(loaded, transfer, place, chosen, progress.note) if transfer else None
    return Workplace(
        device=chosen,
        loaded=loaded,
        preset_name=preset_name,
        preset=found,
        place=place,
        profile=profile,
        first=first,
        second=second,
        versions=versions,
    )


def nights_root(explicit: Path | None) -> Path:
    """Folder of all nights, writable.

    Raises:
        PrerequisiteError: it cannot be made.
    """
    root = explicit.absolute() if explicit else paths.nights()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrerequisiteError(f"{root} cannot be made for the nights ({error.strerror}): give another folder with --nights") from error
    return root
