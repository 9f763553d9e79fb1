"""The real NVML binding over a stub library: a situation's JSON, flattened, behind libnvidia-ml.so.1 in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SITUATIONS = json.loads((HERE / "situations.json").read_text())


def _flat(situation: dict[str, Any]) -> str:
    lines = [f"count={len(situation['boards'])}"]
    lines += [f"{key}={value}" for key, value in situation.items() if key != "boards"]
    for i, board in enumerate(situation["boards"]):
        lines += [f"{i}.{key}={value}" for key, value in board.items() if key != "slices"]
        for j, part in enumerate(board.get("slices", [])):
            lines += [f"{i}.slices.{j}.{key}={value}" for key, value in part.items()]
    return "\n".join(lines)


@pytest.fixture(scope="session")
def stub_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder with the stub, compiled once per variant: ``, `OLD_DRIVER` or `NO_INIT`."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the stub library")
    made: dict[str, Path] = {}

    def build(variant: str = "") -> Path:
        if variant not in made:
            folder = tmp_path_factory.mktemp("nvml")
            flags = [f"-D{variant}"] if variant else []
            subprocess.run(
                [compiler, "-shared", "-fPIC", "-O1", *flags, "-o", str(folder / "libnvidia-ml.so.1"), str(HERE / "nvml_stub.c")],
                check=True,
            )
            made[variant] = folder
        return made[variant]

    return build


@pytest.fixture
def under_nvml(stub_library: Callable[[str], Path], tmp_path: Path) -> Callable[..., Any]:
    """Run Python code in a fresh process that finds this situation's NVML; what it prints as JSON."""

    def run(situation: str | None, code: str, variant: str = "") -> Any:
        environment = dict(os.environ)
        environment.pop("LD_LIBRARY_PATH", None)
        if situation is not None:
            answers = tmp_path / f"{situation}.txt"
            answers.write_text(_flat(SITUATIONS[situation]))
            environment |= {"LD_LIBRARY_PATH": str(stub_library(variant)), "STUB_NVML": str(answers)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


SURVEY = """
import json, msgspec
from appliance import hardware
found = hardware.survey()
print(json.dumps({
    "devices": [msgspec.to_builtins(d) for d in found.devices if d.kind == "cuda"],
    "problems": [msgspec.to_builtins(p) for p in found.problems],
    "chosen": hardware.choose(found.devices).name,
}))
"""


@pytest.fixture
def survey(under_nvml: Callable[..., Any]) -> Callable[..., Any]:
    """What `hardware.survey` finds in a situation."""
    return lambda situation, variant="": under_nvml(situation, SURVEY, variant)
