"""The host's check of an artifact, before anything runs it: `python -I checks/artifact.py mark|end <folder>`.

`mark`: graph.json alone. `end`: graph.json and weights.safetensors against it. Exit 0: allowed. Exit 1: the last line of stdout says why
not, in plain ASCII. Runs without torch, in a process of its own with capped memory and CPU time: what it reads was written by code that
nobody trusts.
"""

import os
import resource
import stat
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "evaluator"))

from graph_format import GRAPH_FILE, MAX_GRAPH_BYTES, WEIGHTS_FILE, FormatError, check_weights, parse

MEMORY_BYTES = 2 << 30
CPU_S = 30


def open_regular(folder: Path, name: str) -> tuple[int, int]:
    """(descriptor, size in bytes) of a regular file with one name, opened without following a link.

    Raises:
        FormatError: it is anything else.
    """
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise FormatError(f"{name} is missing") from None
    except OSError as error:
        raise FormatError(f"{name} cannot be opened as a regular file: {error.strerror}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise FormatError(f"{name} is not a regular file with one name")
    return descriptor, status.st_size


def check(stage: str, folder: Path) -> None:
    """Check an artifact's folder at `mark` or at `end`.

    Raises:
        FormatError: why it is not allowed.
    """
    descriptor, size = open_regular(folder, GRAPH_FILE)
    with os.fdopen(descriptor, "rb") as file:
        if size > MAX_GRAPH_BYTES:
            raise FormatError(f"{GRAPH_FILE} has {size} bytes, more than {MAX_GRAPH_BYTES}")
        graph = parse(file.read(MAX_GRAPH_BYTES + 1))
    if stage == "end":
        descriptor, size = open_regular(folder, WEIGHTS_FILE)
        with os.fdopen(descriptor, "rb") as file:
            check_weights(file, size, graph)


def main(arguments: list[str]) -> int:
    """Check; print the reason where it is not allowed."""
    if len(arguments) != 2 or arguments[0] not in ("mark", "end"):
        print("usage: artifact.py mark|end <folder>")
        return 2
    for kind, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        check(arguments[0], Path(arguments[1]))
    except FormatError as error:
        reason = str(error)
    except (MemoryError, RecursionError, OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        reason = f"the artifact cannot be read: {type(error).__name__}"
    else:
        return 0
    print(" ".join(reason.split()).encode("ascii", "backslashreplace").decode()[:300])
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
