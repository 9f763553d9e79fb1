"""One owner per night and per device, known by name.

The lock is the kernel's (`flock`), which lets go when its owner dies, however it dies; no lock is ever stale. The file tells people who
holds it.
"""

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path

import msgspec

from appliance import paths
from appliance.errors import PrerequisiteError, UsageError
from appliance.ledger.journal import now
from appliance.records import Record

_LOOKS, _LOOK_S = 5, 0.02


class Owner(Record, frozen=True, kw_only=True):
    """Who holds a lock."""

    pid: int
    started: str | None = None
    """Clock ticks after boot at which the process started; tells a pid that was given to another process."""
    boot_id: str | None = None
    host: str
    since: str
    """UTC."""
    heartbeat_at: str
    """UTC; last sign of life."""
    night: str | None = None
    """Folder of the night."""


def _process_start(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _take(descriptor: int) -> None:
    """Lock it, tried for a moment: who asks `holder` holds it for an instant.

    Raises:
        BlockingIOError: another process keeps it.
    """
    for _ in range(_LOOKS):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_LOOK_S)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """An exclusive lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path, what: str, night: Path | None = None) -> None:
        """Take the lock.

        Args:
            path: the file; made where it is missing, never removed.
            what: what is locked, for the message.
            night: the folder of the night, for the message.

        Raises:
            UsageError: another live process holds it; the message says which.
        """
        self.path, self.what = path, what
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _take(self._descriptor)
        except BlockingIOError:
            os.close(self._descriptor)
            self._descriptor = -1
            raise UsageError(_held(path, what)) from None
        except OSError as error:
            os.close(self._descriptor)
            self._descriptor = -1
            raise PrerequisiteError(f"{path} cannot be locked ({error.strerror}): put it on a local file system") from error
        pid, at = os.getpid(), now()
        self._owner = Owner(
            pid=pid,
            started=_process_start(pid),
            boot_id=_boot_id(),
            host=socket.gethostname(),
            since=at,
            heartbeat_at=at,
            night=str(night) if night else None,
        )
        self._write()

    def _write(self) -> None:
        data = msgspec.json.encode(self._owner)
        with contextlib.suppress(OSError):  # what a full disk spoils here is a message, not the lock
            os.pwrite(self._descriptor, data, 0)
            os.ftruncate(self._descriptor, len(data))

    def heartbeat(self) -> None:
        """Tell others that the owner lives."""
        if self._descriptor >= 0:
            self._owner = msgspec.structs.replace(self._owner, heartbeat_at=now())
            self._write()

    def release(self) -> None:
        """Let go; twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder(path: Path) -> Owner | None:
    """Who holds the lock at `path` now; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner(path) or Owner(pid=0, host="unknown", since="unknown", heartbeat_at="unknown")
    finally:
        os.close(descriptor)
    return None


def _owner(path: Path) -> Owner | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Owner)
    except (OSError, msgspec.MsgspecError):
        return None


def _held(path: Path, what: str) -> str:
    owner = _owner(path)
    if owner is None:
        return f"{what} is in use by another process (lock {path}); wait for it or stop it"
    night = f" for the night {owner.night}" if owner.night else ""
    return (
        f"{what} is in use by process {owner.pid} on {owner.host}{night} since {owner.since}, last sign of life {owner.heartbeat_at}; "
        "wait for it, or end it with: appliance stop"
    )


def _device_path(device: str) -> Path:
    return paths.state() / "locks" / f"{''.join(c if c.isalnum() or c in '-_.' else '-' for c in device)}.lock"


class DeviceLock(Lock):
    """One night per device of a host; nights on different devices run at the same time."""

    def __init__(self, device: str, night: Path | None = None) -> None:
        """Take the device.

        Args:
            device: its UUID, or its slug where it has none.
            night: the folder of the night, for the message that others get.

        Raises:
            UsageError: another live process holds it; the message says which.
        """
        super().__init__(_device_path(device), f"device {device}", night)


def device_holder(device: str) -> Owner | None:
    """Who uses a device now; None when nobody does."""
    return holder(_device_path(device))


def night_lock_path(folder: Path) -> Path:
    """The lock of a night's folder."""
    return folder / ".lock"


def night_holder(folder: Path) -> Owner | None:
    """Who writes to a night now; None when nobody does."""
    return holder(night_lock_path(folder))
