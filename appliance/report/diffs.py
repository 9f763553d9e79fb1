"""Diffs for reading: removed and added lines in blocks, changed words inside a line marked, long ones cut and the rest counted."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring lines of one sort."""

    sort: str
    """`del`, `ins`, `same`, `gap` or `file`."""
    html: Markup


def unified(before: Mapping[str, str], after: Mapping[str, str], context: int = 3) -> str:
    """A unified diff over all files of two assets."""
    parts: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, "").splitlines(), after.get(name, "").splitlines()
        if old != new:
            parts += difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm="", n=context)
    return "\n".join(parts)


def changed_lines(diff: str) -> tuple[int, int]:
    """(added, removed)."""
    lines = diff.splitlines()
    return (
        sum(1 for line in lines if line.startswith("+") and not line.startswith("+++")),
        sum(1 for line in lines if line.startswith("-") and not line.startswith("---")),
    )


def blocks(diff: str, *, context: int = 3, max_chars: int = 60_000, words: bool = True) -> tuple[list[Block], int]:
    """The diff as blocks, and how many lines were left out for length.

    Args:
        diff: unified.
        context: unchanged lines kept around a change; the rest of them go without being counted as left out.
        max_chars: of text shown.
        words: mark what changed inside replaced lines.
    """
    lines = _near_changes([line.rstrip("\r\n") for line in diff.split("\n")], context)
    shown: list[str] = []
    used = 0
    for line in lines:
        used += len(line) + 1
        if used > max_chars and shown:
            break
        shown.append(line if len(line) <= 600 else line[:600] + "…")
    return _grouped(shown, words), len(lines) - len(shown)


def _near_changes(lines: list[str], context: int) -> list[str]:
    keep: set[int] = set()
    for i, line in enumerate(lines):
        if line.startswith(("+", "-", "@@")):
            reach = 0 if line.startswith(("+++", "---", "@@")) else context
            keep.update(range(i - reach, i + reach + 1))
    return [line for i, line in enumerate(lines) if i in keep and not line.startswith(("diff ", "index ", "\\"))]


def _sort(line: str) -> str:
    if line.startswith(("+++ ", "--- ")):
        return "file"
    if line.startswith("@@"):
        return "gap"
    return {"+": "ins", "-": "del"}.get(line[:1], "same")


def _grouped(lines: list[str], words: bool) -> list[Block]:
    found: list[Block] = []
    i = 0
    while i < len(lines):
        sort = _sort(lines[i])
        j = i
        while j < len(lines) and _sort(lines[j]) == sort:
            j += 1
        group = lines[i:j]
        if sort == "file":
            name = group[-1][4:].split("\t")[0].removeprefix("b/")
            found.append(Block("file", escape(name)))
        elif sort == "gap":
            found.append(Block("gap", Markup("⋯")))
        elif sort == "del" and words:
            k = j
            while k < len(lines) and _sort(lines[k]) == "ins":
                k += 1
            removed, added = _marked(group, lines[j:k])
            found.append(Block("del", removed))
            if k > j:
                found.append(Block("ins", added))
            j = k
        else:
            found.append(Block(sort, Markup("\n").join(escape(g) for g in group)))
        i = j
    return [b for n, b in enumerate(found) if not (b.sort == "gap" and (n == 0 or found[n - 1].sort in {"file", "gap"}))]


def _marked(old: list[str], new: list[str]) -> tuple[Markup, Markup]:
    if len(old) != len(new) or sum(map(len, old)) > 8000:
        return Markup("\n").join(map(escape, old)), Markup("\n").join(map(escape, new))
    removed, added = [], []
    for before, after in zip(old, new, strict=True):
        left, right = _TOKEN.findall(before[1:]), _TOKEN.findall(after[1:])
        matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
        if len(left) * len(right) > 40_000 or matcher.ratio() < 0.4:
            removed.append(escape(before))
            added.append(escape(after))
            continue
        one, two = Markup("-"), Markup("+")
        for op, a, b, c, d in matcher.get_opcodes():
            was, now = escape("".join(left[a:b])), escape("".join(right[c:d]))
            one += was if op == "equal" or not was else Markup("<mark>{}</mark>").format(was)
            two += now if op == "equal" or not now else Markup("<mark>{}</mark>").format(now)
        removed.append(one)
        added.append(two)
    return Markup("\n").join(removed), Markup("\n").join(added)
