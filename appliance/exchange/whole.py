"""A file that is there whole or not at all."""

import contextlib
import os
from pathlib import Path

from appliance.errors import UsageError


def write_whole(path: Path, content: bytes) -> None:
    """Write `path` beside itself, force it to the medium, then put it in its place.

    Raises:
        UsageError: the folder is missing, not writable or full; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another file") from error
