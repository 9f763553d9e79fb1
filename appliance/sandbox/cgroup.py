"""A control group's own account of memory, versions 1 and 2."""

from pathlib import Path
from typing import NamedTuple

_ROOT = Path("/sys/fs/cgroup")


class Reading(NamedTuple):
    """What the kernel counted."""

    peak_bytes: int | None
    """Most memory held at once, page cache and files in memory included; None where the kernel does not tell."""
    oom_kills: int


class Group(NamedTuple):
    """Folder of a group's memory account."""

    folder: Path
    version: int

    def read(self) -> Reading:
        """The account as it stands; what cannot be read is unknown."""
        peak = _read(self.folder / ("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"))
        events = _read(self.folder / ("memory.events" if self.version == 2 else "memory.oom_control"))
        kills = [line.split()[1] for line in events.splitlines() if line.startswith("oom_kill ")]
        return Reading(int(peak) if peak.strip().isdigit() else None, int(kills[0]) if kills else 0)


def of(pid: int | None) -> Group | None:
    """Memory group of a process; None where it is gone or hidden."""
    if pid is None:
        return None
    for line in _read(Path(f"/proc/{pid}/cgroup")).splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return Group(_ROOT / "memory" / path.lstrip("/"), 1)
        if number == "0" and (_ROOT / "cgroup.controllers").exists():
            return Group(_ROOT / path.lstrip("/"), 2)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
