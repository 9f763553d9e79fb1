"""Files that are whole or absent: the only place of the ledger that writes bytes.

Every file goes the same way: a temporary name that begins with a dot, write, close, read back, fsync, rename, fsync of the folder. `Disk`
is the seam to the kernel: tests and `bench/crash.py` put one in its place that fails, writes short, or ends the process at a named step.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

TEMPORARY = ".tmp"
"""Suffix of everything unfinished; such a name also begins with a dot, so that Parquet readers skip it."""


class Disk:
    """The kernel's file calls, and the names of the steps between them."""

    def step(self, name: str) -> None:
        """Called between any two effects that outlive the process; does nothing here."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Bytes that were taken, possibly fewer than given."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Bytes reach the medium."""
        os.fsync(descriptor)

    def read(self, path: Path) -> bytes:
        """The whole file."""
        return path.read_bytes()

    def rename(self, source: Path, target: Path) -> None:
        """Atomically; an existing target is replaced."""
        source.replace(target)


class ReadBackError(OSError):
    """What was read back is not what was written."""


def _sync(disk: Disk, path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(disk: Disk, folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.sync(descriptor)
    finally:
        os.close(descriptor)


def temporary_name(path: Path) -> Path:
    """Where `path` is written before it has its name."""
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")


def write_file(disk: Disk, path: Path, data: bytes, check: Callable[[bytes], None] | None = None, *, durable: bool = True) -> None:
    """Write `data` to `path` durably; nothing of it is left where that fails.

    Args:
        disk: the kernel.
        path: final name; replaced when it exists.
        data: all of it.
        check: raises when the bytes read back are not a readable file of their kind.
        durable: wait for the medium; without it the file is whole or absent for readers, but a power cut may empty it.

    Raises:
        OSError: disk full, write error, or bytes that changed on the way.
    """
    _write_temporary(disk, path, data, check, path.name.split("-")[0].split(".")[0], durable=durable)
    if durable:
        sync_folder(disk, path.parent)
        disk.step("folder-synced")


def _write_temporary(disk: Disk, path: Path, data: bytes, check: Callable[[bytes], None] | None, what: str, *, durable: bool) -> None:
    temporary = temporary_name(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            disk.step(f"{what}-created")
            rest = memoryview(data)
            while rest:
                rest = rest[disk.write(descriptor, rest) :]
            disk.step(f"{what}-written")
        finally:
            os.close(descriptor)
        _must_equal(path, disk.read(temporary), data)
        if check:
            check(data)
        if durable:
            _sync(disk, temporary)
            disk.step(f"{what}-synced")
        disk.rename(temporary, path)
        disk.step(f"{what}-renamed")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _must_equal(path: Path, back: bytes, data: bytes) -> None:
    if back != data:
        raise ReadBackError(f"{path} does not read back as it was written")


def write_folder(disk: Disk, path: Path, files: dict[str, bytes]) -> None:
    """Write a folder of files that appears whole under its name; one that exists is left as it is.

    Raises:
        OSError: as `write_file`.
    """
    if path.is_dir():
        return
    temporary = temporary_name(path)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, data in sorted(files.items()):
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(disk, target, data)
        sync_folder(disk, temporary)
        disk.step("folder-written")
        disk.rename(temporary, path)
        disk.step("folder-renamed")
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(disk, path.parent)


def remove_temporaries(folder: Path) -> int:
    """Remove what a killed process left unfinished in `folder`; how many."""
    count = 0
    for path in folder.glob(f".*{TEMPORARY}") if folder.is_dir() else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        count += 1
    return count
