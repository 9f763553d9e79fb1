"""Archives of packages, unpacked as hostile input: no path outside the folder, no link, no device, no bomb."""

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from appliance.errors import ApplianceError

MAX_BYTES = 8 << 30
MAX_FILES = 200_000
_CHUNK = 1 << 20


def unpack(name: str, archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
    """Unpack a zip (wheel) or tar (source distribution) into `folder`; plain files and folders only, modes not taken over.

    Raises:
        ApplianceError: it is neither, is damaged, or holds what it must not.
    """
    written = count = 0
    try:
        with _opened(archive) as members:
            for member, file in members:
                target = folder / _inside(name, member)
                count += 1
                if count > max_files:
                    raise ApplianceError(f"dataset {name}: {archive.name} holds more than {max_files:,} files")
                target.parent.mkdir(parents=True, exist_ok=True)
                with file, target.open("xb") as out:
                    while chunk := file.read(_CHUNK):
                        written += len(chunk)
                        if written > max_bytes:
                            raise ApplianceError(f"dataset {name}: {archive.name} unpacks to more than {max_bytes / 2**30:.0f} GiB")
                        out.write(chunk)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, FileExistsError, NotADirectoryError, NotImplementedError) as error:
        raise ApplianceError(f"dataset {name}: {archive.name} cannot be unpacked: {error}") from None


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield _zip_members(packed)
    else:
        with tarfile.open(archive) as packed_tar:
            yield _tar_members(packed_tar)


def _zip_members(packed: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in packed.infolist():
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise zipfile.BadZipFile(f"{info.filename} is not a plain file")
        if not info.is_dir():
            yield info.filename, packed.open(info)


def _tar_members(packed: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for info in packed:
        if info.isdir():
            continue
        file = packed.extractfile(info) if info.isreg() else None
        if file is None:
            raise tarfile.TarError(f"{info.name} is not a plain file")
        yield info.name, file


def _inside(name: str, member: str) -> PurePosixPath:
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts or "\\" in member or "\0" in member or not path.parts:
        raise ApplianceError(f"dataset {name}: the archive names {member!r}, a path outside its folder")
    return path
