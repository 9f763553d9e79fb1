"""The constants of an asset, as far as a page shows them: `NAME = literal` lines of its files. Reads text; runs nothing.

The part that changes constants lives elsewhere and parses strictly. This one only has to show what a reader would see, in any language that
writes a constant so.
"""

import ast
import re
from collections.abc import Mapping

from appliance.records.task import Constant

_LINE = re.compile(r"^([A-Z][A-Z0-9_]*)[ \t]*(?::[^=\n]{1,40})?=[ \t]*(.{1,200})$", re.MULTILINE)


def constants_of(files: Mapping[str, str]) -> dict[str, Constant]:
    """Name → value over all files; the last assignment at the margin wins. What is no literal is left out."""
    found: dict[str, Constant] = {}
    for _, text in sorted(files.items()):
        for name, expression in _LINE.findall(text):
            value = _literal(expression)
            if value is not None:
                found[name] = value
    return found


def _literal(expression: str) -> Constant | None:
    for text in (expression, expression.split("#", 1)[0]):
        try:
            value = ast.literal_eval(text.strip().rstrip(";"))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            value = _product(text)
        if isinstance(value, bool | int | float | str):
            return value
    return None


def _product(text: str) -> Constant | None:
    """Powers and products of whole numbers, as `2**19` is written; small ones only."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*(\*\*|\*|<<)\s*(\d{1,6})\s*(?:#.*)?", text)
    if not match:
        return None
    left, sign, right = int(match[1]), match[2], int(match[3])
    if sign == "*":
        return left * right
    if right > 64 or left > 10_000:
        return None
    return left**right if sign == "**" else left << right
