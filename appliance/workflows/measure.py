"""From a device to its profile: an exact match, else the probe, run in the image through the sandbox."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from appliance import hardware, paths, profiles, sandbox, temporary
from appliance.errors import ApplianceError
from appliance.records import ArtifactFile, Device, Limits, Profile
from appliance.sandbox import failures
from appliance.workflows.place import SandboxKind, open_place
from appliance.workflows.progress import Progress

_MEASUREMENT = ArtifactFile(name="measurement.json", at="end", max_bytes=16 << 20)
_TIMEOUT_S = {"quick": 300.0, "full": 1800.0}


def profile_of(device: Device, place: sandbox.Sandbox, environment: dict[str, str | None], note: Callable[[str], None]) -> Profile:
    """The profile of this device; measured now where none matches exactly.

    Raises:
        ApplianceError: it could not be measured.
    """
    known = profiles.resolve(device)
    if known is not None and known.measurement is not None:
        return known
    note(f"no measured profile matches {device.name} exactly: measuring one (once)")
    measure(device, place, environment, "quick", note)
    resolved = profiles.resolve(device)
    if resolved is None:
        raise ApplianceError(
            f"the profile just measured for {device.name} does not match it: please report this with `appliance detect --json`"
        )
    return resolved


def measure(device: Device, place: sandbox.Sandbox, environment: dict[str, str | None], mode: str, note: Callable[[str], None]) -> Path:
    """Run the probe and store what it found. The new file.

    Raises:
        ApplianceError: the probe failed.
    """
    if device.processes:
        note(f"another process uses {device.name}: the measurement is marked and cannot be shared")
    with temporary.folder("probe") as work:
        task, out = work / "task", work / "out"
        shutil.copytree(paths.share("probe"), task, ignore=shutil.ignore_patterns("__pycache__"))
        out.mkdir()
        for path in (task, *task.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        spec = sandbox.Spec(
            command=("python3", "-P", "{task}"),
            folders={"TASK": task},
            device=device,
            limits=Limits(pids=512),
            params={"mode": mode, "device": device.kind},
            timeout_s=_TIMEOUT_S[mode],
            collect=(_MEASUREMENT,),
            labels={"probe": device.slug},
        )
        with place.create(spec) as box, hardware.Monitor(device, box.pid) as monitor:
            box.release()
            result = box.run(out)
        if not (out / "measurement.json").is_file():
            reason, cause = failures.name(result) or (None, "it wrote nothing")
            raise ApplianceError(f"the probe could not measure {device.name}: {reason}: {cause}")
        raw = json.loads((out / "measurement.json").read_bytes())
    measurement = profiles.from_probe(
        raw, device, environment, telemetry=monitor.history, container_startup_s=result.create_s, shared_device=bool(device.processes)
    )
    return profiles.store(measurement)


def measure_here(device: str | None, kind: SandboxKind, mode: str, progress: Progress) -> Path:
    """`measure` for this machine, from names alone."""
    chosen = hardware.choose(hardware.detect(), device)
    place, versions = open_place(kind, chosen, progress)
    progress.phase("profile", f"{mode} measurement of {chosen.name}")
    environment = {**versions, "driver": chosen.driver, "image_digest": place.image_digest, "isolation": place.isolation}
    path = measure(chosen, place, environment, mode, progress.note)
    progress.phase("end")
    return path
