"""Scripts over the probe's own modules. Those that need torch run with `APPLIANCE_TORCH_PYTHON`, else they skip."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance import paths

PROBE = paths.share("probe")


def _script(interpreter: str, code: str) -> Any:
    body = f"import sys, json\nsys.path.insert(0, {str(PROBE)!r})\n{code}"
    done = subprocess.run([interpreter, "-P", "-c", body], capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def script() -> Callable[[str], Any]:
    """Run code beside the probe's modules, without torch; the JSON of its last line."""
    return lambda code: _script(sys.executable, code)


@pytest.fixture(scope="session")
def torch_python() -> str:
    """An interpreter with torch."""
    for candidate in (os.environ.get("APPLIANCE_TORCH_PYTHON"), shutil.which("python3", path="/usr/local/bin:/usr/bin")):
        if candidate and Path(candidate).exists():
            found = subprocess.run([candidate, "-c", "import torch"], capture_output=True, check=False, timeout=120)
            if found.returncode == 0:
                return candidate
    pytest.skip("no interpreter with torch: set APPLIANCE_TORCH_PYTHON")


@pytest.fixture
def torch_script(torch_python: str) -> Callable[[str], Any]:
    """Run code beside the probe's modules, with torch; the JSON of its last line."""
    return lambda code: _script(torch_python, code)
