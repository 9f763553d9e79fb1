"""`assets/<sha256>/`: every version ever tried, by content; each file compressed on its own, so that `zcat` reads it.

Nights of earlier versions hold plain files: those are read as they are.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from appliance.errors import ApplianceError, UsageError
from appliance.ledger.disk import Disk, write_folder

_PACKED = ".gz"


def asset_sha256(files: Mapping[str, str]) -> str:
    """SHA-256 of an asset: over every name and its UTF-8 bytes, each preceded by its length, in order of the names."""
    digest = hashlib.sha256()
    for name, text in sorted(files.items()):
        for part in (name.encode(), text.encode()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _safe(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or any(part.startswith(".") for part in path.parts) or "\0" in name:
        raise UsageError(f"asset file {name!r}: give a relative name inside the task, without dots in front")
    return name


def store_asset(disk: Disk, folder: Path, files: Mapping[str, str]) -> str:
    """Keep an asset; one that is there already is left alone.

    Returns:
        Its SHA-256.

    Raises:
        UsageError: no files, or a name that leaves the folder.
        OSError: disk full or write error; nothing of it is left.
    """
    if not files:
        raise UsageError("an asset needs at least one file")
    sha256 = asset_sha256(files)
    packed = {_safe(name) + _PACKED: gzip.compress(text.encode(), 6, mtime=0) for name, text in files.items()}
    write_folder(disk, folder / "assets" / sha256, packed)
    return sha256


def load_asset(folder: Path, sha256: str) -> dict[str, str]:
    """The files of an asset.

    Raises:
        ApplianceError: not there, or changed since.
    """
    root = folder / "assets" / sha256
    if not root.is_dir():
        raise ApplianceError(f"asset {sha256[:12]} is not in {folder / 'assets'}")
    try:
        files = dict(_unpacked(root, path) for path in sorted(root.rglob("*")) if path.is_file())
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError):
        files = {}
    if asset_sha256(files) != sha256:
        raise ApplianceError(f"asset {sha256[:12]} in {root} was changed since it was recorded: restore that folder from a copy")
    return files


def _unpacked(root: Path, path: Path) -> tuple[str, str]:
    name, data = path.relative_to(root).as_posix(), path.read_bytes()
    if name.endswith(_PACKED):
        name, data = name.removesuffix(_PACKED), gzip.decompress(data)
    return name, data.decode()
