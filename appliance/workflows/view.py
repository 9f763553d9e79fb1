"""What a command of a task gets to see of it."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from appliance import tasks, temporary
from appliance.records.task import Command


@contextlib.contextmanager
def task_view(loaded: tasks.LoadedTask, command: Command) -> Iterator[Path]:
    """A folder with just the files that this command may see."""
    with temporary.folder("task") as folder:
        for file in command.files:
            source, target = loaded.folder / file, folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder
