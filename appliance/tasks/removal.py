"""An asset without one of the changes that made it: taken back by constants, else merged by lines.

Only what can be told from text is told: a merge that parses may still not run, which a run will show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from appliance.tasks.constants import read_constants, replace_constants
from appliance.tasks.proposals import fingerprint


@dataclass(frozen=True, slots=True)
class Removal:
    """What taking a change back came to."""

    files: dict[str, str] | None
    """The asset without it; None where it cannot be taken back alone."""
    note: str | None = None
    """Why not, or what of it stays."""


def without(now: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]) -> Removal:
    """`now` without the change that once made `after` of `before`; all three hold the same files.

    A change of constants alone is taken back constant by constant; those that a later change set again stay as that set them. Any other is
    a three-way merge with `after` as the common ancestor, taken back whole or not at all.
    """
    old, new, standing = read_constants(before), read_constants(after), read_constants(now)
    changed = {name: new[name] for name in new if name in old and not _same(old[name], new[name])}
    if changed and fingerprint(replace_constants(before, changed)) == fingerprint(after):
        back = {name: old[name] for name, value in changed.items() if _same(standing.get(name), value)}
        again = ", ".join(sorted(set(changed) - set(back)))
        if not back:
            return Removal(None, f"a later change set {again} again")
        return Removal(replace_constants(now, back), f"{again} stays as a later change set it" if again else None)
    merged = {name: _merged(now[name], before[name], after[name]) for name in now}
    files = {name: text for name, text in merged.items() if text is not None}
    return Removal(files) if len(files) == len(merged) else Removal(None, "later changes touch the same lines")


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _merged(now: str, before: str, after: str) -> str | None:
    """`now` with the lines in which `after` differs from `before` as they were before; None where those lines stand no more."""
    ancestor, target, lines = after.splitlines(keepends=True), before.splitlines(keepends=True), now.splitlines(keepends=True)
    standing = SequenceMatcher(None, ancestor, lines, autojunk=False).get_matching_blocks()
    for tag, first, last, target_first, target_last in reversed(SequenceMatcher(None, ancestor, target, autojunk=False).get_opcodes()):
        if tag == "equal":
            continue
        # Lines that come back where none stand now need a neighbour on either side to say where.
        low, high = (first, last) if first < last else (max(first - 1, 0), min(last + 1, len(ancestor)))
        block = next((block for block in standing if block.a <= low and high <= block.a + block.size), None)
        if block is None:
            return None
        at = block.b - block.a
        lines[first + at : last + at] = target[target_first:target_last]
    return "".join(lines)
