"""Small things that fetching and preparing share: a lock between processes, hashes, a folder that appears whole or not at all."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.errors import PrerequisiteError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, waiting for whoever holds it; the kernel frees it when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def files_below(folder: Path) -> list[Path]:
    """Every regular file below `folder`, in the order of its relative path.

    Raises:
        ValueError: something there is neither a regular file nor a folder (a link, a device).
    """
    found: list[Path] = []
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ValueError(f"{path.relative_to(folder)} is neither a file nor a folder")
            if not path.is_dir():
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def settle(temporary: Path, final: Path) -> None:
    """Rename a finished folder into place and make that durable; files first, then the folder that names it."""
    for path in files_below(temporary):
        _sync(path)
    for parent, _, _ in os.walk(temporary):
        _sync(Path(parent))
    temporary.rename(final)
    _sync(final.parent)


def fresh(folder: Path) -> Path:
    """`folder`, emptied."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def need_space(folder: Path, needed: int) -> None:
    """Refuse work that the disk cannot hold.

    Raises:
        PrerequisiteError: fewer than `needed` bytes are free where `folder` will be.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise PrerequisiteError(
            f"{existing} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: free some, or set APPLIANCE_CACHE to another disk"
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
