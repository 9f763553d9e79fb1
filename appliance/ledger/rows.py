"""One folder of rows: `runs/` or `experiments/`, a Parquet file per row until compaction gathers many rows in one.

A row is known by its number. A reader takes every readable file and every number once, so that a kill at any moment of a compaction
neither loses nor doubles a row.

Arrow is imported where a row is read or written and not before: `status` needs none, and it takes longer to load than all else.
"""

import io
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from appliance.errors import ApplianceError
from appliance.ledger import columns
from appliance.ledger.disk import Disk, write_file
from appliance.records import Experiment, Record, Run

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind(Generic[R]):
    """What distinguishes runs from experiments."""

    cls: type[R]
    key: str
    """Field that numbers the rows; also the first word of a file's name."""
    folder: str
    heavy: tuple[str, ...]
    """Columns that are not kept in memory."""
    summary: frozenset[str]
    """Columns that the journal keeps too, for `standing`."""

    def number(self, record: R) -> int:
        """What a row is known by."""
        number: int = getattr(record, self.key)
        return number

    def path(self, night: Path, number: int) -> Path:
        """File of one row."""
        return night / self.folder / f"{self.key}-{number:06d}.parquet"

    def summarised(self, record: R) -> dict[str, Any]:
        """What the journal keeps of a row."""
        return {name: getattr(record, name) for name in self.summary}


RUNS: Kind[Run] = Kind(cls=Run, key="run", folder="runs", heavy=("curve", "log_tail"), summary=frozenset({"status"}))
EXPERIMENTS: Kind[Experiment] = Kind(
    cls=Experiment, key="experiment", folder="experiments", heavy=("diff",), summary=frozenset({"experiment", "verdict", "incumbent"})
)
KINDS: tuple[Kind[Any], ...] = (RUNS, EXPERIMENTS)

_SINGLE = re.compile(r"(run|experiment)-(\d{6,})\.parquet")
_GATHERED = re.compile(r"(run|experiment)s-\d{6,}-\d{6,}\.parquet")


@dataclass(kw_only=True, slots=True)
class Read(Generic[R]):
    """What a folder of rows held."""

    rows: dict[int, R] = field(default_factory=dict)
    """Number → record, in order of the numbers."""
    gathered: dict[Path, set[int]] = field(default_factory=dict)
    """Compacted file → numbers in it."""
    damaged: dict[Path, str] = field(default_factory=dict)
    """File that could not be read → why."""


def joined(kind: Kind[R], tables: list[Any]) -> Any:
    """Tables of single rows as one, with the columns of this release; a column that an old file lacks is null.

    Raises:
        pyarrow.ArrowInvalid: a column changed its type.
    """
    import pyarrow as pa

    return pa.concat_tables([columns.schema(kind.cls).empty_table(), *tables], promote_options="default").combine_chunks()


def release_memory() -> None:
    """Give back to the system what Arrow keeps for later: a night gathers rarely and lasts long."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def encode(kind: Kind[R], record: R) -> bytes:
    """The bytes of the Parquet file of one row; quick rather than small.

    Raises:
        ApplianceError: a score that is not finite.
    """
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(columns.to_table(kind.cls, [record]), sink, compression="snappy", use_dictionary=False, write_statistics=False)
    return sink.getvalue()


def decode(data: bytes, where: str, names: list[str] | None = None) -> Any:
    """The table in the bytes of a Parquet file; `names` limits the columns.

    Raises:
        UsageError: a newer format.
        OSError: not a readable Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        found = file.schema_arrow
        columns.check_version(found, where)
        known = set(found.names)
        return file.read(columns=[name for name in names if name in known] if names else None, use_threads=False)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error


def write(disk: Disk, kind: Kind[R], night: Path, record: R) -> Path:
    """Write one row durably; an existing file of that number is replaced.

    Raises:
        OSError: disk full, write error, or bytes that came back otherwise.
        ApplianceError: a score that is not finite.
    """
    path = kind.path(night, kind.number(record))
    write_file(disk, path, encode(kind, record), check=lambda back: _must_hold(back, path, 1))
    return path


def _must_hold(data: bytes, path: Path, rows: int) -> None:
    try:
        found = decode(data, str(path)).num_rows
    except OSError as error:
        raise OSError(f"{path} cannot be read back: {error}") from error
    if found != rows:
        raise OSError(f"{path} holds {found} rows instead of {rows}")


def files(kind: Kind[R], night: Path) -> tuple[dict[int, Path], list[Path]]:
    """Files of single rows by number, and compacted files."""
    single: dict[int, Path] = {}
    gathered: list[Path] = []
    folder = night / kind.folder
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _SINGLE.fullmatch(path.name):
            single[int(match[2])] = path
        elif _GATHERED.fullmatch(path.name):
            gathered.append(path)
    return single, gathered


def read(kind: Kind[R], night: Path, *, light: bool = False) -> Read[R]:
    """Every readable row of a night.

    Args:
        kind: runs or experiments.
        night: the night's folder.
        light: without the heavy columns (they get their field's default).

    Raises:
        UsageError: a file of a newer format.
    """
    names = [name for name in columns.schema(kind.cls).names if name not in kind.heavy] if light else None
    for _ in range(3):
        result: Read[R] = Read()
        tables, vanished = [], False
        single, gathered = files(kind, night)
        for path in gathered:
            try:
                table = decode(path.read_bytes(), str(path), names)
            except FileNotFoundError:
                vanished = True
            except OSError as error:
                result.damaged[path] = str(error)
            else:
                numbers = set(table.column(kind.key).to_pylist())
                result.gathered[path] = numbers
                tables.append(table)
        covered = set().union(*result.gathered.values()) if result.gathered else set()
        for number, path in single.items():
            if number in covered:
                continue
            try:
                tables.append(decode(path.read_bytes(), str(path), names))
            except FileNotFoundError:
                vanished = True
            except OSError as error:
                result.damaged[path] = str(error)
        if not vanished:
            break
    records = _records(kind, tables, light=light)
    result.rows = {kind.number(record): record for record in sorted(records, key=kind.number)}
    return result


def _records(kind: Kind[R], tables: list[Any], *, light: bool) -> list[R]:
    if not tables:
        return []
    import pyarrow as pa

    if light:
        defaults = {"curve": pa.list_(pa.null()), "log_tail": pa.string(), "diff": pa.string()}
        tables = [_with_empty(table, [name for name in kind.heavy if name in defaults], kind) for table in tables]
    return columns.from_table(kind.cls, pa.concat_tables(tables, promote_options="default"))


def _with_empty(table: Any, names: list[str], kind: Kind[R]) -> Any:
    import pyarrow as pa

    whole = columns.schema(kind.cls)
    for name in names:
        value: Any = [] if name == "curve" else ""
        table = table.append_column(whole.field(name), pa.array([value] * table.num_rows, type=whole.field(name).type))
    return table


def read_one(kind: Kind[R], night: Path, number: int) -> R:
    """One whole row.

    Raises:
        ApplianceError: not recorded, or unreadable.
    """
    path = kind.path(night, number)
    try:
        if path.exists():
            return columns.from_table(kind.cls, decode(path.read_bytes(), str(path)))[0]
        for gathered in reversed(files(kind, night)[1]):
            table = decode(gathered.read_bytes(), str(gathered))
            numbers = table.column(kind.key).to_pylist()
            if number in numbers:
                return columns.from_table(kind.cls, table.slice(numbers.index(number), 1))[0]
    except OSError as error:
        raise ApplianceError(f"{kind.key} {number} of {night} cannot be read ({error}); open the night for writing to repair it") from error
    raise ApplianceError(f"{kind.key} {number} is not recorded in {night}")
