"""The constants of an asset: every module-level `ALL_CAPS = literal` of a Python file, read and replaced through its syntax tree.

Only the literal's own characters change, so comments, units and layout survive and a diff shows one line per constant.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from appliance.errors import UsageError
from appliance.records.task import Constant

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


def read_constants(files: Mapping[str, str]) -> dict[str, Constant]:
    """Name → value, over all Python files of an asset. A file that does not parse has none."""
    return {name: value for text in _python(files).values() for name, value, _ in _literals(text)}


def replace_constants(files: Mapping[str, str], values: Mapping[str, Constant]) -> dict[str, str]:
    """The same files with these literals put in.

    Raises:
        UsageError: a name is not a constant of the asset.
    """
    missing = set(values) - set(read_constants(files))
    if missing:
        raise UsageError(f"the asset has no constant {', '.join(sorted(missing))}: each must stand as `NAME = literal` at module level")
    return {name: _replaced(text, values) if name.endswith(".py") else text for name, text in files.items()}


def _python(files: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(".py")}


@lru_cache(maxsize=16)  # an incumbent is read again for every candidate, and a tree costs tens of milliseconds
def _literals(text: str) -> tuple[tuple[str, Constant, ast.expr], ...]:
    return tuple(_assigned(text))


def _assigned(text: str) -> Iterator[tuple[str, Constant, ast.expr]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if not _NAME.fullmatch(name):
            continue
        try:
            literal = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(literal, bool | int | float | str):
            yield name, literal, value


def _replaced(text: str, values: Mapping[str, Constant]) -> str:
    lines = text.encode().splitlines(keepends=True)  # the tree counts columns in UTF-8 bytes
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    source = b"".join(lines)
    edits = []
    for name, old, node in _literals(text):
        if name in values and not (type(old) is type(values[name]) and old == values[name]):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            begin, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
            edits.append((begin, end, _literal(values[name]).encode()))
    for begin, end, new in sorted(edits, reverse=True):
        source = source[:begin] + new + source[end:]
    return source.decode()


def _literal(value: Constant) -> str:
    """As a formatter would write it: double quotes where none are inside."""
    text = repr(value)
    return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
