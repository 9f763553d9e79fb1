"""SEARCH/REPLACE blocks and whole files in a model's answer: found, matched, applied. Nothing is skipped silently.

A block's SEARCH lines must stand in the file exactly once, as whole lines. What does not match comes back as `EditError`, whose message is
written for the model: which block, why, and the nearest lines of the file. Plain text, because code inside JSON was worse for every model
that was measured.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SEARCH = re.compile(r"<{5,9} ?SEARCH(?:[ :]+(?P<file>\S+))?\s*")
_DIVIDER = re.compile(r"={5,9}\s*")
_REPLACE = re.compile(r">{5,9} ?REPLACE\s*")
_FILE = re.compile(r"<{5,9} ?FILE(?:[ :]+(?P<file>\S+))?\s*")
_FILE_END = re.compile(r">{5,9} ?FILE\s*")
_MARKER = re.compile(r"(<{5,9} ?(SEARCH|FILE)\b|>{5,9} ?(REPLACE|FILE)\b)")
_FENCE = re.compile(r"```\w*\s*")
_NEAREST_LINES = 12
"""Lines of the file quoted in an error."""


class EditError(Exception):
    """An answer cannot be applied; the message tells the model why."""


@dataclass(frozen=True, slots=True)
class Block:
    """One SEARCH/REPLACE block."""

    file: str
    search: tuple[str, ...]
    """Lines without their ends."""
    replace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edits:
    """What an answer wants changed: blocks, or whole files."""

    blocks: tuple[Block, ...] = ()
    whole: Mapping[str, str] | None = None

    def apply(self, files: Mapping[str, str]) -> dict[str, str]:
        """The files with the change made.

        Raises:
            EditError: a block does not match exactly once, or two of them overlap.
        """
        if self.whole is not None:
            return {**files, **self.whole}
        return apply(self.blocks, files)


def parse(answer: str, files: Sequence[str]) -> Edits:
    """The edits in an answer; `files` are the editable ones, the first is meant where a block names none.

    Raises:
        EditError: none, a malformed one, a file that may not be edited, or blocks and whole files together.
    """
    blocks: list[Block] = []
    whole: dict[str, str] = {}
    lines = answer.replace("\r\n", "\n").split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        if match := _SEARCH.fullmatch(line):
            divider = _find(lines, at + 1, _DIVIDER, f"the SEARCH block of line {at + 1} of your answer has no ======= line")
            end = _find(lines, divider + 1, _REPLACE, f"the SEARCH block of line {at + 1} of your answer has no >>>>>>> REPLACE line")
            blocks.append(Block(_file(match["file"], files), tuple(lines[at + 1 : divider]), tuple(lines[divider + 1 : end])))
            at = end
        elif match := _FILE.fullmatch(line):
            end = _find(lines, at + 1, _FILE_END, f"the FILE of line {at + 1} of your answer has no >>>>>>> FILE line")
            whole[_file(match["file"], files)] = "\n".join(_unfenced(lines[at + 1 : end])) + "\n"
            at = end
        elif _MARKER.match(line):
            raise EditError(f"line {at + 1} of your answer is a marker out of place: {line[:80]!r}")
        at += 1
    if blocks and whole:
        raise EditError("your answer holds SEARCH blocks and whole files: use one of the two")
    if not blocks and not whole:
        raise EditError("your answer holds no edit: no <<<<<<< SEARCH block was found in it")
    return Edits(blocks=tuple(blocks), whole=whole or None)


def apply(blocks: Sequence[Block], files: Mapping[str, str]) -> dict[str, str]:
    """Replace every block in the original text, all at once.

    Raises:
        EditError: a block does not match exactly once, or two of them overlap.
    """
    changed = dict(files)
    for name in {block.file for block in blocks}:
        lines = files[name].split("\n")  # splitlines would also split at form feeds and rarer separators, and lose them
        places: list[tuple[int, Block]] = []
        for number, block in enumerate(blocks, 1):
            if block.file == name:
                places.append((_place(block, lines, f"block {number} of {len(blocks)} ({name})"), block))
        places.sort(key=lambda place: place[0])
        for (first, block), (second, _) in pairwise(places):
            if first + len(block.search) > second:
                raise EditError(f"two blocks change the same lines of {name} (line {second + 1}): make them one")
        for start, block in reversed(places):
            lines[start : start + len(block.search)] = block.replace
        changed[name] = "\n".join(lines)
    return changed


def _place(block: Block, lines: Sequence[str], label: str) -> int:
    """Index of the only place where a block matches."""
    wanted = [line.rstrip() for line in block.search]
    if not any(wanted):
        raise EditError(f"{label}: SEARCH is empty; repeat the lines to be replaced")
    have = [line.rstrip() for line in lines]
    found = [at for at in range(len(have) - len(wanted) + 1) if have[at : at + len(wanted)] == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(str(at + 1) for at in found[:5])
        raise EditError(f"{label}: SEARCH matches {len(found)} places (lines {where}); add lines before or after until it matches one")
    raise EditError(f"{label}: SEARCH matches nothing. The nearest lines of the file are\n{_nearest(wanted, have)}")


def _nearest(wanted: Sequence[str], have: Sequence[str]) -> str:
    """The most similar stretch of the file, numbered."""
    matcher, best, best_at = difflib.SequenceMatcher(autojunk=False), -1.0, 0
    matcher.set_seq2("\n".join(wanted)[:2000])
    for at in range(max(1, len(have) - len(wanted) + 1)):
        matcher.set_seq1("\n".join(have[at : at + len(wanted)])[:2000])
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and matcher.ratio() > best:
            best, best_at = matcher.ratio(), at
    shown = have[best_at : best_at + min(len(wanted) + 2, _NEAREST_LINES)]
    return "\n".join(f"{best_at + n + 1:>4}| {line}" for n, line in enumerate(shown))


def _find(lines: Sequence[str], start: int, marker: re.Pattern[str], missing: str) -> int:
    for at in range(start, len(lines)):
        if marker.fullmatch(lines[at]):
            return at
        if _MARKER.match(lines[at]):
            break
    raise EditError(missing)


def _file(named: str | None, files: Sequence[str]) -> str:
    name = (named or files[0]).strip("`")
    if name not in files:
        raise EditError(f"{name!r} may not be edited; the editable files are {', '.join(files)}")
    return name


def _unfenced(lines: Sequence[str]) -> Sequence[str]:
    """Without the ``` lines some models put around a file."""
    fenced = len(lines) >= 2 and _FENCE.fullmatch(lines[0]) and lines[-1].strip() == "```"
    return lines[1:-1] if fenced else lines
