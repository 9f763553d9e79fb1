"""What killed processes of ours leave behind, and how it is found: labels, and a marker in each control folder."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

OURS = "overnight-appliance"
"""Label of every container and volume."""

MARKER = "owner.json"
"""File of a control folder: pid and start of the process that made it, its labels."""

CONTROL_PREFIX = "overnight-appliance-control-"


class Owner(msgspec.Struct, frozen=True):
    """Whose a control folder is."""

    pid: int
    started: str
    labels: dict[str, str]


def label_name(key: str) -> str:
    """Engine label of one of a spec's labels: `night` → `overnight-appliance.night`."""
    return f"{OURS}.{key}"


def started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty when it is gone. Tells a process from a later one with its pid."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def owner_label() -> dict[str, str]:
    """Label that tells whose a container or volume is: the pid of this process and its start."""
    return {label_name("owner"): f"{os.getpid()}-{started(os.getpid())}"}


def owner_lives(labels: Mapping[str, str] | None) -> bool:
    """Whether the process that made something is still there: then nobody else removes it."""
    pid, _, start = (labels or {}).get(label_name("owner"), "").partition("-")
    return pid.isdigit() and bool(start) and started(int(pid)) == start


def stale_controls(labels: Mapping[str, str] | None = None) -> list[Path]:
    """Control folders of processes that are gone, those with these labels."""
    found: list[Path] = []
    for folder in Path(tempfile.gettempdir()).glob(f"{CONTROL_PREFIX}*"):
        try:
            owner = msgspec.json.decode((folder / MARKER).read_bytes(), type=Owner)
        except (OSError, msgspec.DecodeError):
            continue
        if started(owner.pid) != owner.started and all(owner.labels.get(key) == value for key, value in (labels or {}).items()):
            found.append(folder)
    return found
