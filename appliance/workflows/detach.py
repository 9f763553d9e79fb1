"""A night that goes on when its terminal closes: the same command in a session of its own, its words in a log.

It is followed until its process holds the lock of a night, which is how `status` and `stop` find it. What fails before that fails here,
with its own message and exit code.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance import ledger
from appliance.workflows.workplace import nights_root

_LOOK_S = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Detached:
    """A night that goes on by itself."""

    folder: Path
    pid: int
    log: Path


def detach(arguments: Sequence[str], *, nights: Path | None, resumed: Path | None, say: Callable[[str], None]) -> Detached | int:
    """Start `appliance` with these arguments and wait until its night has begun.

    Ctrl-C ends it meanwhile; a terminal that closes does not.

    Args:
        arguments: of the command, without `--detach`.
        nights: folder of all nights, where one was named.
        resumed: the night that is gone on with; None for a new one.
        say: is given what the process says until then, as it comes.

    Returns:
        The night; or the exit code of a process that ended before there was one.
    """
    root = resumed.parent if resumed else nights_root(nights)
    log = ledger.own_log_path(resumed) if resumed else root / f".overnight-{time.time_ns()}.log"
    log.touch(mode=0o600)  # the address of a page may hold its token
    with log.open("a") as out, log.open(errors="replace") as read:
        read.seek(0, 2)
        night = subprocess.Popen(
            [sys.executable, "-m", "appliance", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            while (folder := _night_of(night.pid, root, resumed)) is None and night.poll() is None:
                with contextlib.suppress(OSError):  # the terminal is gone; the log still gets its place
                    say(read.read())
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            night.terminate()
            night.wait()
            raise
        finally:
            with contextlib.suppress(OSError):
                say(read.read())
            if not resumed and night.returncode is not None:
                log.unlink()
                with contextlib.suppress(OSError):
                    root.rmdir()
    if folder is None:
        return night.returncode
    return Detached(folder=folder, pid=night.pid, log=log if resumed else log.rename(ledger.own_log_path(folder)))


def _night_of(pid: int, root: Path, resumed: Path | None) -> Path | None:
    """The night whose lock a process holds; the latest are looked at first."""
    for folder in [resumed] if resumed else reversed(ledger.list_nights(root)):
        holder = ledger.night_holder(folder)
        if holder is not None and holder.pid == pid:
            return folder
    return None
