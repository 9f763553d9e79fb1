"""A small, working task to start from: the shipped example, copied."""

import shutil
from pathlib import Path

from appliance import paths
from appliance.errors import UsageError


def write_example(folder: Path) -> list[Path]:
    """Copy the example task into a new folder; the files written.

    Raises:
        UsageError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: give a new folder")
    shutil.copytree(paths.share("examples") / "curve", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return sorted(path for path in folder.rglob("*") if path.is_file())
