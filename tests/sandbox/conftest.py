"""A stub task that speaks the protocol, and sandboxes of both kinds to run it in."""

import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from stub_task import ARTIFACT, DEVICE, LIMITS, PREAMBLE, MakeSpec

from appliance.records import Clock
from appliance.sandbox import Sandbox, Spec, open_sandbox
from appliance.sandbox.sweep import owner_label


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can read, unlike pytest's own: the sandbox's user is another."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def make_spec(place: Path) -> MakeSpec:
    """A spec that runs the given program after the preamble."""

    def make(program: str, **changes: object) -> Spec:
        task = place / "task"
        task.mkdir(exist_ok=True)
        (task / "run.py").write_text(PREAMBLE + textwrap.dedent(program))
        options: dict[str, object] = {
            "command": ("python3", "-S", "{task}/run.py"),
            "folders": {"TASK": task},
            "device": DEVICE,
            "limits": LIMITS,
            "budget_s": 0.3,
            "clock": Clock(startup_cap_s=10, startup_allowance_s=0.5, finish_cap_s=15),
            "collect": ARTIFACT,
            "labels": {"night": "test", "run": "1"},
        }
        return Spec(**(options | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def docker_sandbox() -> Iterator[Sandbox]:
    from appliance.sandbox import image

    built = image.build(image.ImageOptions(), print)
    sandbox = open_sandbox("docker", image=built.tag, digest=built.digest)
    sandbox.sweep({"night": "test"})  # what a killed run of these tests left
    yield sandbox
    mine = {"label": next(f"{key}={value}" for key, value in owner_label().items())}
    client = sandbox.client  # type: ignore[attr-defined]
    left = [*client.containers.list(all=True, filters=mine), *client.volumes.list(filters=mine)]
    sandbox.close()
    assert left == [], "something of these tests stayed behind"


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.engine), "process"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "docker":
        found: Sandbox = request.getfixturevalue("docker_sandbox")
        return found
    return open_sandbox("process", python=Path(shutil.which("python3", path="/usr/bin:/bin") or sys.executable))
