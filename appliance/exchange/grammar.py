"""What one line of a results file or log is. Pure; the importer decides what to make of a run of lines.

Covered: tab-separated, comma-separated and Markdown tables with or without a header; the progress and summary lines of the field's
training script. Not covered: a quoted cell over several lines.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.exchange import words

STEP = re.compile(r"step\s+(?P<step>\d{1,12})\s*\((?P<percent>\d{1,3}(?:\.\d+)?)%\)\s*\|\s*loss:\s*(?P<loss>\S+)", re.ASCII)
SUMMARY = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9_]*):\s+(?P<value>\S+)")
BUDGET = re.compile(r"Time budget:\s*(?P<seconds>\d{1,7}(?:\.\d+)?)\s*s", re.IGNORECASE | re.ASCII)
TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^[\w.]*(?:Error|Exception)\b")
OUT_OF_MEMORY = re.compile(r"CUDA out of memory|OutOfMemoryError")
_BLANKS = " \t\u00a0"
"""Around a cell. Other control characters that Python counts as space are damage: what they stand beside may have lost a digit."""
_RULE = re.compile(r"[\s|:=*~_-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the rows of a table are read."""

    delimiter: str
    columns: tuple[str, ...] = ()
    """Keys of the header's cells; empty: no header, the original five columns are assumed where they fit."""
    score: str = "val_bpb"

    @property
    def judged(self) -> bool:
        """Whether rows say what became of them."""
        return not self.columns or bool(words.STATUSES & set(self.columns))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """One row, cell by cell, still in their words."""

    score: str = ""
    commit: str = ""
    status: str = ""
    description: str = ""
    time: str = ""
    reason: str | None = None
    """Why it is not kept; None where there is no such column."""
    numbers: Mapping[str, str] = field(default_factory=dict)
    """Every other column that holds a number: key → text."""


def header(line: str) -> Layout | None:
    """The layout that this line announces, None where it is no header."""
    for delimiter in ("\t", "|", ","):
        if delimiter not in line:
            continue
        cells = split(line, delimiter)
        keys = tuple(words.key_of(cell) for cell in cells)
        score = next((name for name in words.SCORES if name in keys), None)
        if len(keys) >= 2 and score and not any(words.number_of(cell) is not None for cell in cells):
            return Layout(delimiter=delimiter, columns=keys, score=score)
    return None


def row(line: str, layout: Layout | None) -> tuple[Cells, Layout] | None:
    """The cells of a row under `layout`, or of one without any header; None where the line is no row.

    A row has a score, or a status word that needs none. One whose cells do not fit its header is read by what they hold instead.
    """
    bare = None
    for delimiter in [layout.delimiter] if layout else ["\t", "|", ","]:
        if delimiter in line:
            bare = bare or ((cells := _bare(split(line, delimiter))) and (cells, layout or Layout(delimiter=delimiter)))
    if layout and layout.columns and layout.delimiter in line:
        named = _named(split(line, layout.delimiter), layout)
        scored = named is not None and words.number_of(named.score) is not None
        stated = named is not None and words.verdict_of(named.status) is not None
        if named and (stated or (scored and (not layout.judged or not bare))):
            return named, layout
    return bare or None


def banner(line: str) -> bool:
    """Whether a line is a heading between tables: marked at its beginning or underlined at its end."""
    text = line.strip()
    marked = text.startswith(tuple("#=*>~_-")) or text.endswith(("===", "---", "~~~"))
    return marked and any(map(str.isalnum, text))


def rule(line: str) -> bool:
    """Whether a line only draws (`---`, `|---|---|`)."""
    return bool(_RULE.fullmatch(line))


def split(line: str, delimiter: str) -> list[str]:
    """Cells of a line, stripped."""
    if delimiter == "|":
        return [cell.strip(_BLANKS) for cell in line.strip().strip("|").split("|")]
    if delimiter == ",":
        try:
            return [cell.strip(_BLANKS) for cell in next(csv.reader([line]), [])]
        except csv.Error:
            return [cell.strip(_BLANKS) for cell in line.split(",")]
    return [cell.strip(_BLANKS) for cell in line.split(delimiter)]


def _named(cells: list[str], layout: Layout) -> Cells | None:
    columns = layout.columns
    if len(cells) > len(columns) and columns[-1] in words.DESCRIPTIONS:  # a delimiter inside the free text
        cells = [*cells[: len(columns) - 1], f"{layout.delimiter} ".join(cells[len(columns) - 1 :])]
    if not 2 <= len(cells) <= len(columns):
        return None
    named = dict(zip(columns, cells, strict=False))

    def first(names: frozenset[str]) -> str:
        return next((named[name] for name in columns if name in names and name in named), "")

    taken = words.COMMITS | words.STATUSES | words.DESCRIPTIONS | {layout.score, ""}
    return Cells(
        score=named.get(layout.score, ""),
        commit=first(words.COMMITS),
        status=first(words.STATUSES),
        description=first(words.DESCRIPTIONS),
        time=first(words.TIMES),
        reason=named.get("reason"),
        numbers={name: cell for name, cell in named.items() if name not in taken and words.number_of(cell) is not None},
    )


def _bare(cells: list[str]) -> Cells | None:
    """A row without a header: `[commit] score [memory in GB] status [description]`, the original order."""
    at = next((index for index, cell in enumerate(cells[:5]) if index and words.verdict_of(cell)), None)
    if at is None:
        return None
    before = cells[:at]
    first = next((index for index, cell in enumerate(before[:2]) if "." in cell and words.number_of(cell) is not None), None)
    if first is None or at - first > 2:
        return None
    memory = before[first + 1 :]
    return Cells(
        score=before[first],
        commit=before[0] if first else "",
        status=cells[at],
        description=" ".join(cells[at + 1 :]),
        numbers={"memory_gb": memory[0]} if memory and words.number_of(memory[0]) is not None else {},
    )
