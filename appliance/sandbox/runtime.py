"""The interpreter of the process sandbox: the image's packages without an image."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from appliance.errors import ApplianceError, PrerequisiteError
from appliance.paths import share
from appliance.sandbox.wheels import locked


def runtime(progress: Callable[[str], None]) -> Path:
    """Interpreter with the image's packages for the process sandbox: APPLIANCE_PYTHON, else an environment made once in the cache.

    Raises:
        ApplianceError: the packages could not be installed.
        PrerequisiteError: APPLIANCE_PYTHON is not there.
    """
    chosen = os.environ.get("APPLIANCE_PYTHON")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise PrerequisiteError(
                f"APPLIANCE_PYTHON={chosen} is no interpreter: name one that has the packages of docker/requirements.txt"
            )
        return Path(chosen).absolute()
    requirements = share("docker") / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    with locked("runtime") as root:
        folder = root / key
        python = folder / "bin" / "python3"
        if (folder / "ready").exists():
            return python
        progress(f"installing the image's packages into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        steps = (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(requirements)],
        )
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                raise ApplianceError(f"the packages of {requirements} could not be installed: {last}")
        (folder / "ready").touch()
        return python
