"""What this machine lacks for a night, and the mend for each."""

import importlib.metadata
import os
import shutil
import sys
from typing import Literal

from appliance import hardware, paths, profiles
from appliance.errors import ApplianceError
from appliance.records import Record
from appliance.workflows.awake import awake, sleep_states

_FREE_BYTES = 5_000_000_000
_MEMORY_BYTES = 3 << 30


class Finding(Record, frozen=True, kw_only=True):
    """One thing that was looked at."""

    level: Literal["good", "warning", "missing"]
    what: str
    found: str
    mend: str | None = None

    @property
    def mark(self) -> str:
        """The same at the head of a line."""
        return {"good": "[ ok ]", "warning": "[warn]", "missing": "[miss]"}[self.level]


def examine(*, test_sandbox: bool) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    findings = [_python(), *_devices(), *_engine(), _disk(), _memory(), _cpus(), _suspend()]
    if test_sandbox:
        findings.extend(_inside())
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    torch = "torch" in {d.metadata["Name"] for d in importlib.metadata.distributions()}
    found = f"{version}, torch {'is' if torch else 'not'} installed on the host (it is not needed)"
    return Finding(level="good", what="python", found=found)


def _devices() -> list[Finding]:
    survey = hardware.survey()
    findings = [Finding(level="warning", what="gpu", found=p.text) for p in survey.problems]
    chosen = hardware.choose(survey.devices, None)
    findings.append(Finding(level="good", what="device", found=chosen.name))
    profile = profiles.resolve(chosen)
    if profile is None or profile.measurement is None:
        mend = "appliance profile measure (or let the night do it)"
        findings.append(Finding(level="warning", what="profile", found="none measured for this device", mend=mend))
    else:
        findings.append(Finding(level="good", what="profile", found=f"{profile.sha256[:12]}, measured {profile.measurement.measured_at}"))
        findings.extend(Finding(level="warning", what="profile", found=note) for note in profile.notes)
        if profile.measurement.environment.get("native_code") == "no":
            mend = "appliance image build --torch VERSION or --base IMAGE with a build made for it"
            findings.append(Finding(level="warning", what="torch", found="has no native code for this device: slow", mend=mend))
    return findings


def _engine() -> list[Finding]:
    from appliance.sandbox import engine

    try:
        client = engine.connect()
        warnings = engine.preflight(client)
    except ApplianceError as error:
        mend = "sh docker/engine.sh, or --sandbox process without isolation"
        return [Finding(level="missing", what="engine", found=str(error), mend=mend)]
    version = client.version().get("Version")
    return [
        Finding(level="good", what="engine", found=f"answers, version {version}"),
        *(Finding(level="warning", what="engine", found=warning) for warning in warnings),
    ]


def _disk() -> Finding:
    folder = paths.cache()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    level: Literal["good", "missing"] = "good" if free >= _FREE_BYTES else "missing"
    return Finding(level=level, what="disk", found=f"{free / 1e9:.0f} GB free", mend=None if level == "good" else "free at least 5 GB")


def _memory() -> Finding:
    free = hardware.choose(hardware.detect(), "cpu").memory_usable_bytes or 0
    level: Literal["good", "warning"] = "good" if free >= _MEMORY_BYTES else "warning"
    mend = None if level == "good" else "free at least 3 GiB"
    return Finding(level=level, what="memory", found=f"{free / 2**30:.1f} GiB free", mend=mend)


def _cpus() -> Finding:
    return Finding(level="good", what="cpus", found=f"{len(os.sched_getaffinity(0))} usable")


def _suspend() -> Finding:
    states = sleep_states()
    if not states:
        return Finding(level="good", what="suspend", found="not possible here")
    with awake() as held:
        if held:
            return Finding(level="good", what="suspend", found="possible; held off while a night runs (systemd-inhibit)")
    found = f"possible ({', '.join(states)}), and nothing here can hold it off: a night would lose the runs it falls into"
    return Finding(level="warning", what="suspend", found=found, mend="switch automatic suspend off on this machine, or on its host")


def _inside() -> list[Finding]:
    from appliance.sandbox.docker import DockerSandbox
    from appliance.sandbox.image import ImageOptions, build
    from appliance.sandbox.selftest import selftest

    image = build(ImageOptions(), lambda _line: None)
    device = hardware.choose(hardware.detect(), None)
    place = DockerSandbox(image=image.tag, digest=image.digest, device=device)
    try:
        found = selftest(place, device)
    finally:
        place.close()
    return [Finding(level="good" if f.holds else "missing", what=f"sandbox: {f.name}", found=f.detail) for f in found]
