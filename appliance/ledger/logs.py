"""`logs/run-NNNNNN.log.gz`: what runs printed; compressed, capped each and together, oldest gone first.

`logs/overnight.log` is the night's own, where it has no terminal: a line per run and verdict, plain, so that it can be followed.
"""

import contextlib
import gzip
from pathlib import Path

from appliance.ledger.disk import Disk, write_file

LOG_BYTES = 256 * 1024
"""Most of one log, uncompressed: its first quarter and its end."""

ALL_LOGS_BYTES = 64 * 2**20
"""Most of all logs of a night, compressed."""


def cut(text: str, limit: int = LOG_BYTES) -> str:
    """A log of at most about `limit` bytes: beginning and end, with what was left out said between."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return text
    head, tail = data[: limit // 4], data[-(limit - limit // 4) :]
    left_out = len(data) - len(head) - len(tail)
    return f"{head.decode(errors='ignore')}\n… {left_out} bytes left out …\n{tail.decode(errors='ignore')}"


def log_path(folder: Path, run: int) -> Path:
    """File of one run's log."""
    return folder / "logs" / f"run-{run:06d}.log.gz"


def own_log_path(folder: Path) -> Path:
    """Where a night without a terminal writes what it would tell one."""
    return folder / "logs" / "overnight.log"


def write_log(disk: Disk, folder: Path, run: int, text: str) -> Path:
    """Keep a run's log, whole or not at all; not forced to the medium, as a power cut may take the last logs but nothing else.

    Raises:
        OSError: disk full or write error.
    """
    path = log_path(folder, run)
    write_file(disk, path, gzip.compress(cut(text).encode(errors="replace"), 6, mtime=0), durable=False)
    return path


def read_log(folder: Path, run: int) -> str | None:
    """A run's log; None where it was never kept or had to go."""
    try:
        return gzip.decompress(log_path(folder, run).read_bytes()).decode(errors="replace")
    except (OSError, EOFError):
        return None


def trim(folder: Path, limit: int = ALL_LOGS_BYTES) -> int:
    """Remove the oldest logs until all together fit; bytes that are left."""
    sizes: list[tuple[Path, int]] = []
    for path in sorted((folder / "logs").glob("run-*")):
        with contextlib.suppress(FileNotFoundError):
            sizes.append((path, path.stat().st_size))
    total = sum(size for _, size in sizes)
    for path, size in sizes:
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= size
    return total
