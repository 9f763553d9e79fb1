"""What goes first when the disk is full: the oldest logs, then all logs, then the reserve. Results never; artifacts are never kept here."""

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from appliance.errors import PrerequisiteError

T = TypeVar("T")

RESERVE_BYTES = 32 * 2**20
"""Kept in the night's folder as an ordinary file, so that the last results have somewhere to go."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk (or the quota) is full."""
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or "disk is full" in str(error)
    return isinstance(error, OSError) and error.errno in _FULL


class Space:
    """The disk under a night's folder."""

    def __init__(self, folder: Path, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.folder, self.reserve_bytes = folder, reserve_bytes
        self._reserve = folder / ".reserve"

    def free_bytes(self) -> int:
        """What an unprivileged process may still write there."""
        return shutil.disk_usage(self.folder).free

    def keep_reserve(self) -> bool:
        """Set the reserve aside, where twice its size is free; whether it is there."""
        with contextlib.suppress(OSError):
            if self._reserve.exists() and self._reserve.stat().st_size >= self.reserve_bytes:
                return True
            if self.free_bytes() < 2 * self.reserve_bytes:
                return False
            descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.reserve_bytes)
            finally:
                os.close(descriptor)
            return True
        self._reserve.unlink(missing_ok=True)
        return False

    def give_reserve_back(self) -> None:
        """The night ended: nothing more will be written."""
        self._reserve.unlink(missing_ok=True)

    def guard(self, write: Callable[[], T]) -> T:
        """Do a write; where the disk is full make room, step by step, and do it again.

        Raises:
            PrerequisiteError: still full when all that may go is gone.
            OSError, sqlite3.Error: any other trouble.
        """
        for make_room in (*self._measures(), None):
            try:
                return write()
            except (OSError, sqlite3.Error) as error:
                if not is_full(error):
                    raise
                if make_room is None:
                    raise PrerequisiteError(
                        f"disk full under {self.folder}, and nothing is left there that may go: free some space, then continue with "
                        f"appliance overnight --resume {self.folder.name}"
                    ) from error
                make_room()
        raise AssertionError("unreachable")

    def _measures(self) -> list[Callable[[], None]]:
        return [self._drop_old_logs, self._drop_logs, self._drop_reserve]

    def _logs(self) -> list[Path]:
        return sorted((self.folder / "logs").glob("run-*"))

    def _drop_old_logs(self) -> None:
        logs = self._logs()
        for path in logs[: -(-len(logs) // 2)]:
            path.unlink(missing_ok=True)

    def _drop_logs(self) -> None:
        for path in self._logs():
            path.unlink(missing_ok=True)

    def _drop_reserve(self) -> None:
        self._reserve.unlink(missing_ok=True)
