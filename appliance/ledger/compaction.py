"""Many small files become few: new file, then the manifest, then the old ones go.

Killed before the manifest, the new file is whole or absent and readers take each row once; killed after it, the next start removes what
is left.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from appliance.ledger import columns, rows
from appliance.ledger.disk import Disk, sync_folder, write_file
from appliance.records import FORMAT_VERSION, Record

MANIFEST = "manifest.json"

_BATCH = 64
"""Rows of one row group."""


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
    paths = [path for _, path in sorted(single.items())]
    first, last = min(single), max(single)
    target = folder / kind.folder / f"{kind.key}s-{first:06d}-{last:06d}.parquet"
    write_file(disk, target, _joined(kind, paths), check=lambda back: _check(kind, back, target, paths))
    entry = Gathered(file=f"{kind.folder}/{target.name}", rows=len(paths), first=first, last=last)
    known = [one for one in read_manifest(folder).files if one.file != entry.file]
    write_file(disk, folder / MANIFEST, msgspec.json.format(msgspec.json.encode(Manifest(files=(*known, entry))), indent=1) + b"\n")
    for path in single.values():
        path.unlink(missing_ok=True)
        disk.step("old-removed")
    sync_folder(disk, folder / kind.folder)
    rows.release_memory()
    return set(single)


def _batches(kind: rows.Kind[Any], paths: list[Path]) -> Iterator[Any]:
    """Tables of at most `_BATCH` rows: what is in memory at once stays small."""
    for at in range(0, len(paths), _BATCH):
        yield rows.joined(kind, [rows.decode(path.read_bytes(), str(path)) for path in paths[at : at + _BATCH]])


def _joined(kind: rows.Kind[rows.R], paths: list[Path]) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    with pq.ParquetWriter(sink, columns.schema(kind.cls), compression="zstd") as writer:
        for table in _batches(kind, paths):
            writer.write_table(table)
    return sink.getvalue()


def _check(kind: rows.Kind[Any], back: bytes, target: Path, paths: list[Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(back))
    for group, table in enumerate(_batches(kind, paths)):
        if not file.read_row_group(group, use_threads=False).equals(table):
            raise OSError(f"{target} does not read back as it was written")
