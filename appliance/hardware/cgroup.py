"""What one control group used: CPU seconds, memory, pressure, processes. Version 1 and version 2, found from a process id.

A run in a container is the cgroup of the container's first process. A run without one shares our own cgroup; then its process tree stands
in (`ProcessTree`), which misses a child that was adopted by another process.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_ROOT = Path("/sys/fs/cgroup")
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Account(Protocol):
    """What a run used, read at one moment. Each returns None once the run is gone."""

    def cpu_s(self) -> float | None:
        """CPU seconds since it began."""

    def memory_bytes(self) -> int | None:
        """Anonymous and shared memory held now. File cache is left out: whichever run reads a file first is charged for it."""

    def pressure_s(self) -> float | None:
        """Seconds some task of it waited for a CPU."""

    def pids(self) -> set[int]:
        """Its processes, in our own pid namespace."""


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A control group: folder per controller for version 1, one folder for version 2."""

    cpu: Path | None
    memory: Path | None
    unified: Path | None

    def cpu_s(self) -> float | None:
        """See `Account`."""
        if self.unified:
            usage = _keyed(self.unified / "cpu.stat").get("usage_usec")
            if usage is not None:
                return usage / 1e6
        if self.cpu:
            nanoseconds = _number(self.cpu / "cpuacct.usage")
            return None if nanoseconds is None else nanoseconds / 1e9
        return None

    def memory_bytes(self) -> int | None:
        """See `Account`."""
        if self.unified:
            stat = _keyed(self.unified / "memory.stat")
            if "anon" in stat:
                return stat["anon"] + stat.get("shmem", 0)
        if self.memory:
            stat = _keyed(self.memory / "memory.stat")
            if "total_rss" in stat:
                return stat["total_rss"] + stat.get("total_shmem", 0)
        return None

    def pressure_s(self) -> float | None:
        """See `Account`."""
        return pressure(self.unified / "cpu.pressure") if self.unified else None

    def pids(self) -> set[int]:
        """See `Account`."""
        folder = self.unified or self.cpu or self.memory
        found: set[int] = set()
        for path in folder.rglob("cgroup.procs") if folder else ():
            try:
                found.update(int(line) for line in path.read_text().split())
            except OSError:
                continue
        return found


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A process and its descendants, for runs that have no cgroup of their own."""

    root: int

    def cpu_s(self) -> float | None:
        """See `Account`. A child that ended counts through its parent, which waited for it."""
        total = [ticks for pid in self.pids() if (ticks := _ticks(pid)) is not None]
        return sum(total) / _TICKS if total else None

    def memory_bytes(self) -> int | None:
        """See `Account`."""
        held = [size for pid in self.pids() if (size := _resident(pid)) is not None]
        return sum(held) if held else None

    def pressure_s(self) -> float | None:
        """Pressure is kept per cgroup only."""
        return None

    def pids(self) -> set[int]:
        """See `Account`."""
        if not Path(f"/proc/{self.root}").exists():
            return set()
        found, waiting = {self.root}, [self.root]
        while waiting:
            pid = waiting.pop()
            for task in _folders(Path(f"/proc/{pid}/task")):
                for child in _words(task / "children"):
                    if int(child) not in found:
                        found.add(int(child))
                        waiting.append(int(child))
        return found


def account_of(pid: int) -> Account:
    """The cgroup of `pid`, or its process tree where that cgroup is also ours (a run without a container)."""
    theirs, ours = locate(pid), locate(os.getpid())
    if theirs is None or theirs == ours or theirs.cpu_s() is None:
        return ProcessTree(pid)
    return theirs


def locate(pid: int) -> Cgroup | None:
    """The folders of the cgroup of `pid`, or None where it lies in the root group or cannot be seen."""
    v1: dict[str, Path] = {}
    unified: Path | None = None
    for line in _lines(Path(f"/proc/{pid}/cgroup")):
        _, names, where = line.split(":", 2)
        inner = where.strip().lstrip("/")
        if not inner:
            continue
        if not names:
            for root in (_ROOT, _ROOT / "unified"):
                if (root / inner / "cgroup.procs").exists():
                    unified = root / inner
        for name in names.split(","):
            folder = _ROOT / name / inner
            if name and folder.is_dir():
                v1[name] = folder
    if unified is None and "cpuacct" not in v1 and "memory" not in v1:
        return None
    return Cgroup(cpu=v1.get("cpuacct"), memory=v1.get("memory"), unified=unified)


def memory_limit_left() -> int | None:
    """What our own cgroup may still take, or None where nothing limits it. Bytes."""
    group = locate(os.getpid())
    if group is None:
        folders = [
            (_ROOT / "memory.max", _ROOT / "memory.current"),
            (_ROOT / "memory/memory.limit_in_bytes", _ROOT / "memory/memory.usage_in_bytes"),
        ]
    elif group.unified:
        folders = [(group.unified / "memory.max", group.unified / "memory.current")]
    else:
        folder = group.memory or _ROOT / "memory"
        folders = [(folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes")]
    for limit_file, usage_file in folders:
        limit, usage = _number(limit_file), _number(usage_file)
        if limit is not None and usage is not None and limit < 1 << 60:
            return max(0, limit - usage)
    return None


def pressure(path: Path) -> float | None:
    """Seconds of `some` stall in a PSI file, or None where the kernel keeps none."""
    for line in _lines(path):
        if line.startswith("some "):
            fields = dict(word.split("=", 1) for word in line.split()[1:])
            return int(fields["total"]) / 1e6
    return None


def _ticks(pid: int) -> int | None:
    """User and system time of a process and of the children it waited for; fields 14 to 17 of proc(5) stat."""
    text = "".join(_lines(Path(f"/proc/{pid}/stat")))
    if not text:
        return None
    fields = text.rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15])


def _resident(pid: int) -> int | None:
    words = _words(Path(f"/proc/{pid}/statm"))
    if len(words) < 3:
        return None
    status = _status(pid)
    anonymous = status.get("RssAnon")
    return anonymous + status.get("RssShmem", 0) if anonymous is not None else (int(words[1]) - int(words[2])) * _PAGE


def _status(pid: int) -> dict[str, int]:
    values = {}
    for line in _lines(Path(f"/proc/{pid}/status")):
        key, _, rest = line.partition(":")
        if key in ("RssAnon", "RssShmem"):
            values[key] = int(rest.split()[0]) * 1024
    return values


def _folders(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _keyed(path: Path) -> dict[str, int]:
    values = {}
    for line in _lines(path):
        words = line.split()
        if len(words) == 2 and words[1].isdigit():
            values[words[0]] = int(words[1])
    return values


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None
