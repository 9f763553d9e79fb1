"""Many small files become few: new file, then the manifest, then the old ones go.

Killed before the manifest, the new file is whole or absent and readers take each row once; killed after it, the next start removes what
is left.
"""

import contextlib
from pathlib import Path
from typing import Any

import msgspec

from appliance.ledger import rows
from appliance.ledger.disk import Disk, sync_folder, write_file
from appliance.records import FORMAT_VERSION, Record

MANIFEST = "manifest.json"


class Gathered(Record, frozen=True, kw_only=True):
    """One compacted file."""

    file: str
    """Relative to the night's folder."""
    rows: int
    first: int
    last: int


class Manifest(Record, frozen=True, kw_only=True):
    """`manifest.json`: the compacted files of a night."""

    format_version: int = FORMAT_VERSION
    files: tuple[Gathered, ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """The manifest; empty where nothing was compacted or it cannot be read (the files themselves say what they hold)."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    return Manifest()


def gather(disk: Disk, folder: Path, kind: rows.Kind[Any], at_least: int = 2) -> set[int]:
    """Gather the single files of one kind into one.

    Args:
        disk: the kernel.
        folder: of the night; the caller holds its lock.
        kind: runs or experiments.
        at_least: fewer single files than this are left alone.

    Returns:
        Numbers of the rows that were gathered.

    Raises:
        OSError: disk full or write error; no row is lost.
    """
    single, _ = rows.files(kind, folder)
    if len(single) < at_least:
        return set()
    table = rows.joined(kind, [rows.decode(path.read_bytes(), str(path)) for _, path in sorted(single.items())])
    first, last = min(single), max(single)
    target = folder / kind.folder / f"{kind.key}s-{first:06d}-{last:06d}.parquet"
    write_file(disk, target, rows.to_bytes(table), check=lambda back: _check(back, target, table))
    entry = Gathered(file=f"{kind.folder}/{target.name}", rows=table.num_rows, first=first, last=last)
    known = [one for one in read_manifest(folder).files if one.file != entry.file]
    write_file(disk, folder / MANIFEST, msgspec.json.format(msgspec.json.encode(Manifest(files=(*known, entry))), indent=1) + b"\n")
    for path in single.values():
        path.unlink(missing_ok=True)
        disk.step("old-removed")
    sync_folder(disk, folder / kind.folder)
    return set(single)


def _check(back: bytes, target: Path, table: Any) -> None:
    if not rows.decode(back, str(target)).equals(table):
        raise OSError(f"{target} does not read back as it was written")
