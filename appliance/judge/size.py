"""Whether a changed asset is simpler: less of it, by more than another number or name would make."""

import re
from collections.abc import Mapping

FEWER_TOKENS = 5
"""About one short statement. Below that every second change of a constant would count as simpler, and be paid for with runs."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_COMMENT = re.compile(r"^\s*(#|//).*$", re.MULTILINE)
_NUMBER = re.compile(r"(?<!\w)(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")


def simpler(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether the files hold at least `FEWER_TOKENS` fewer words and signs; a number is one, lines that only comment are none."""
    return tokens(before) - tokens(after) >= FEWER_TOKENS


def tokens(files: Mapping[str, str]) -> int:
    """Words and signs of all files."""
    return sum(len(_TOKEN.findall(_NUMBER.sub("0", _COMMENT.sub("", text)))) for text in files.values())
