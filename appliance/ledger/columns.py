"""Records as typed Parquet columns and back.

The schema is derived from the record's own types, so that a column has its type even where every value is null, and a field added to a
record is in the files at once. Tuples become structs with the names of `TUPLES`, `dict[str, float]` a map, an enum or literal a string. A
file without a column that was added later gives the field's default.
"""

import functools
import gc
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from appliance.errors import ApplianceError, UsageError
from appliance.records import FORMAT_VERSION, Record

R = TypeVar("R", bound=Record)

TUPLES = {"curve": ("seconds", "step", "value"), "documents": ("numerator", "weight")}
"""Field → names of its tuple's places."""

_VERSION_KEY = b"appliance.format_version"


def _plain(kind: inspect.Type) -> inspect.Type:
    """The type without `| None` and metadata."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, inspect.UnionType):
        rest = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
        if len(rest) == 1:
            return _plain(rest[0])
        raise TypeError(f"a column has one type, not {kind}")
    return kind


def _arrow(kind: inspect.Type, name: str) -> Any:
    import pyarrow as pa

    kind = _plain(kind)
    match kind:
        case inspect.BoolType():
            return pa.bool_()
        case inspect.IntType():
            return pa.int64()
        case inspect.FloatType():
            return pa.float64()
        case inspect.StrType() | inspect.EnumType() | inspect.LiteralType():
            return pa.string()
        case inspect.ListType():
            return pa.list_(_arrow(kind.item_type, name))
        case inspect.DictType():
            return pa.map_(pa.string(), _arrow(kind.value_type, name))
        case inspect.TupleType():
            return pa.struct([(part, _arrow(of, name)) for part, of in zip(TUPLES[name], kind.item_types, strict=True)])
        case inspect.StructType():
            return pa.struct([(field.name, _arrow(field.type, field.name)) for field in kind.fields])
    raise TypeError(f"no column type for {name}: {kind}")


@functools.cache
def _struct(cls: type[Record]) -> inspect.StructType:
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info


@functools.cache
def schema(cls: type[Record]) -> Any:
    """The Arrow schema of a record."""
    import pyarrow as pa

    fields = [pa.field(field.name, _arrow(field.type, field.name)) for field in _struct(cls).fields]
    return pa.schema(fields, metadata={_VERSION_KEY: str(FORMAT_VERSION)})


def _optional(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.UnionType) and any(isinstance(part, inspect.NoneType) for part in kind.types)


def _clean(value: Any, kind: inspect.Type, where: str) -> Any:
    """The value without NaN and infinity, in the form that Arrow takes."""
    if value is None:
        return None
    plain = _plain(kind)
    match plain:
        case inspect.FloatType():
            if math.isfinite(value):
                return float(value)
            if _optional(kind) and not where.endswith("score"):
                return None
            raise ApplianceError(
                f"{where} is {value}: a number that is not finite is never recorded; a run without a score has status failed"
            )
        case inspect.EnumType():
            return str(value)
        case inspect.ListType():
            items = value
            if isinstance(_plain(plain.item_type), inspect.TupleType):
                items = [item for item in value if all(math.isfinite(part) for part in item)]
            return [_clean(item, plain.item_type, where) for item in items]
        case inspect.DictType():
            return [(key, _clean(item, plain.value_type, f"{where}.{key}")) for key, item in value.items() if _is_finite(item)]
        case inspect.TupleType():
            names = TUPLES[where.rsplit(".", 1)[-1]]
            return {name: _clean(part, of, name) for name, part, of in zip(names, value, plain.item_types, strict=True)}
        case inspect.StructType():
            return {field.name: _clean(getattr(value, field.name), field.type, f"{where}.{field.name}") for field in plain.fields}
    return value


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def to_table(cls: type[R], records: Iterable[R]) -> Any:
    """Records as an Arrow table.

    A missing or non-finite number is null where the field may be null, and left out of maps and curves.

    Raises:
        ApplianceError: a number that must be there (a score) is not finite.
    """
    import pyarrow as pa

    info = _struct(cls)
    return pa.Table.from_pylist([_clean(record, info, cls.__name__.lower()) for record in records], schema=schema(cls))


def finite(cls: type[R], record: R) -> R:
    """The record as it will be read back.

    Raises:
        ApplianceError: as `to_table`.
    """
    if _all_finite(msgspec.to_builtins(record)):
        return record
    return from_table(cls, to_table(cls, [record]))[0]


def _all_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_all_finite(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(_all_finite(item) for item in value)
    return True


def refuse_newer(version: int | None, where: str) -> None:
    """Raise where a file was written by a newer release.

    Raises:
        UsageError: with both versions.
    """
    if version is None:
        raise UsageError(f"{where} carries no format_version: it was not written by this appliance")
    if version > FORMAT_VERSION:
        raise UsageError(
            f"{where} has format {version}, this release reads up to {FORMAT_VERSION}: install a newer overnight-appliance to read it"
        )


def check_version(table_schema: Any, where: str) -> None:
    """Refuse a Parquet file of a newer format.

    Raises:
        UsageError: newer, or without a version.
    """
    raw = (table_schema.metadata or {}).get(_VERSION_KEY)
    refuse_newer(int(raw) if raw is not None else None, where)


def _values(array: Any, kind: inspect.Type, name: str) -> Sequence[Any]:
    """One Python value per row of an Arrow array, whole columns at a time."""
    kind = _plain(kind)
    match kind:
        case inspect.ListType():
            return _sliced(array, _values(array.flatten(), kind.item_type, name), list)
        case inspect.DictType():
            pairs = list(zip(array.keys.to_pylist(), _values(array.items, kind.value_type, name), strict=True))
            return _sliced_map(array, pairs)
        case inspect.TupleType():
            parts = [_values(part, of, name) for part, of in zip(array.flatten(), kind.item_types, strict=True)]
            return list(zip(*parts, strict=True))
        case inspect.StructType():
            return _records(kind, {array.type.field(i).name: part for i, part in enumerate(array.flatten())}, len(array))
        case inspect.EnumType():
            members = {str(member): member for member in kind.cls} | {None: None}
            return [members[value] for value in array.to_pylist()]
        case inspect.IntType() | inspect.FloatType() if array.null_count == 0:
            values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
            return values
    rows: list[Any] = array.to_pylist()
    return rows


def _sliced(array: Any, items: Sequence[Any], make: Callable[[Sequence[Any]], Any]) -> list[Any]:
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    ends = [0, *lengths.cumsum().tolist()]
    return [make(items[low:high]) for low, high in pairwise(ends)]


def _sliced_map(array: Any, pairs: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    offsets = array.offsets.to_pylist()
    first = offsets[0] if offsets else 0
    if len(pairs) != offsets[-1] - first:
        first = 0
    return [dict(pairs[low - first : high - first]) for low, high in pairwise(offsets)]


def _records(info: inspect.StructType, columns: dict[str, Any], rows: int) -> list[Any]:
    known = [field for field in info.fields if field.name in columns]
    names = [field.name for field in known]
    values = [_values(columns[field.name], field.type, field.name) for field in known]
    cls = info.cls
    if not values:
        return [cls() for _ in range(rows)]
    return [cls(**dict(zip(names, row, strict=True))) for row in zip(*values, strict=True)]


def from_table(cls: type[R], table: Any) -> list[R]:
    """The records of an Arrow table, in its order; columns that this release does not know are ignored."""
    if table.num_rows == 0:
        return []
    columns = {name: _one_array(table.column(name)) for name in table.column_names}
    collecting = gc.isenabled()
    gc.disable()  # millions of new tuples and no garbage: the collector would go through them again and again
    try:
        return _records(_struct(cls), columns, table.num_rows)
    finally:
        if collecting:
            gc.enable()


def _one_array(column: Any) -> Any:
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def pack(record: Record) -> bytes:
    """A record for the journal."""
    return msgspec.msgpack.encode(record)


def unpack(cls: type[R], data: bytes) -> R:
    """A record from the journal."""
    return msgspec.msgpack.decode(data, type=cls)
