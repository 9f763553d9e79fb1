"""What is refused before it runs: an unchanged asset, a mere seed, a foreign file, too many bytes, data dressed as code, a repeat.

A refusal costs nothing and teaches the agent something, so each says in one line what is wrong.
"""

import ast
import difflib
import hashlib
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from appliance.records import Task

_LITERAL_BYTES = 4096
"""A longer string, bytes or numeric table in an asset is data, not code: weights or text smuggled in."""

_SEED = re.compile(r"(?i)\bseed|manual_seed")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a proposal does not run."""

    name: str
    """`syntax_error`, `unchanged`, `only_a_seed`, `outside_the_asset`, `too_large`, `embedded_data`, `already_tried`."""
    detail: str


def refuse(task: Task, parent: Mapping[str, str], files: Mapping[str, str], tried: Set[str] = frozenset()) -> Refusal | None:
    """Why these files may not run as a change of `parent`; None when they may. `tried` holds fingerprints."""
    foreign = sorted(set(files) ^ set(task.asset.files))
    if foreign:
        return Refusal("outside_the_asset", f"{foreign[0]!r} is not one of the editable files ({', '.join(task.asset.files)})")
    size = sum(len(text.encode()) for text in files.values())
    if size > task.asset.max_bytes:
        return Refusal("too_large", f"the asset has {size} bytes, {task.asset.max_bytes} are allowed")
    for name, text in files.items():
        if not name.endswith(".py"):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            return Refusal("syntax_error", f"{name}{f', line {line}' if line else ''}: {getattr(error, 'msg', error)}")
        large = _largest_literal(tree)
        if large > _LITERAL_BYTES:
            return Refusal("embedded_data", f"{name} embeds a literal of about {large} bytes; at most {_LITERAL_BYTES} are allowed")
    if fingerprint(files) == fingerprint(parent):
        return Refusal("unchanged", "nothing that runs differs from the parent")
    if _only_seeds(parent, files):
        return Refusal("only_a_seed", "the change only touches a seed; seeds come from the host")
    if fingerprint(files) in tried:
        return Refusal("already_tried", "the same program was tried before in this night")
    return None


def fingerprint(files: Mapping[str, str]) -> str:
    """Digest of what runs: syntax trees without positions and docstrings for Python, plain text otherwise."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{_normalised(name, files[name])}\0".encode())
    return digest.hexdigest()


def unified_diff(parent: Mapping[str, str], files: Mapping[str, str]) -> str:
    """A unified diff over all files of the asset."""
    parts: list[str] = []
    for name in sorted(set(parent) | set(files)):
        old, new = parent.get(name, "").splitlines(keepends=True), files.get(name, "").splitlines(keepends=True)
        parts.extend(line if line.endswith("\n") else f"{line}\n" for line in difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))
    return "".join(parts)


@lru_cache(maxsize=64)  # parents are asked for again with every candidate, and a tree costs tens of milliseconds
def _normalised(name: str, text: str) -> str:
    if not name.endswith(".py"):
        return text
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return text
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree)


def _only_seeds(parent: Mapping[str, str], files: Mapping[str, str]) -> bool:
    changed = [line for line in unified_diff(parent, files).splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    code = [line[1:].split("#")[0].strip() for line in changed]
    return bool(code) and all(_SEED.search(line) for line in code if line)


def _largest_literal(tree: ast.AST) -> int:
    """Bytes of the largest constant or of the largest display of constants."""
    largest = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            largest = max(largest, len(node.value) if isinstance(node.value, str | bytes) else len(repr(node.value)))
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            constants = [child for child in ast.walk(node) if isinstance(child, ast.Constant)]
            largest = max(largest, sum(len(repr(child.value)) for child in constants))
    return largest
