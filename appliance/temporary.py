"""Temporary folders that name their owner: those of a killed process are known by that, and removed by the next one.

The owner stands in the folder's name, so there is no instant at which a folder lies there and nobody can tell whose it is.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"appliance-[a-z]+-(?P<owner>\d+-\d+)-\w+")


def started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty when it is gone. Tells a process from a later one with its pid."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in {"Z", "X"} else fields[18]


def owner() -> str:
    """This process: its pid and its start."""
    return f"{os.getpid()}-{started(os.getpid())}"


def lives(owner: str) -> bool:
    """Whether the process that calls itself so is still there: then nobody else removes what it made."""
    pid, _, start = owner.partition("-")
    return pid.isdigit() and bool(start) and started(int(pid)) == start


def make(what: str) -> Path:
    """A new folder, which the caller removes. Every user may read it: the sandbox's is another."""
    folder = Path(tempfile.mkdtemp(prefix=f"appliance-{what}-{owner()}-"))
    folder.chmod(0o755)
    return folder


@contextlib.contextmanager
def folder(what: str) -> Iterator[Path]:
    """`make`, removed at the end of the block."""
    made = make(what)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep() -> list[str]:
    """Remove the folders of processes that are gone; the names of those that went."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob("appliance-*"):
        name = _NAME.fullmatch(folder.name)
        if name and not lives(name["owner"]):
            shutil.rmtree(folder, ignore_errors=True)  # another user's stays
            if not folder.exists():
                removed.append(folder.name)
    return removed
