"""A stub task that speaks the protocol, and sandboxes of both kinds to run it in."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.records import ArtifactFile, Clock, Device, Limits
from appliance.sandbox import Sandbox, Spec, open_sandbox

PREAMBLE = """
import json, os, sys, time
out, control = os.environ["APPLIANCE_OUT"], os.environ["APPLIANCE_CONTROL"]

def say(word):
    print(f"::appliance {os.environ['APPLIANCE_NONCE']} {word}", flush=True)

def put(name, text):
    with open(os.path.join(out, name), "w") as handle:
        handle.write(text)

def wait(name):
    while not os.path.exists(os.path.join(control, name)):
        time.sleep(0.005)

def start():
    say("ready")
    wait("release")
    put("graph.json", "{}")
    say("mark")
    wait("grant")
    return json.load(open(os.path.join(control, "grant")))["budget_s"]

def finish():
    put("weights.safetensors", "weights")
    say("done")
    time.sleep(60)
"""

DEVICE = Device(kind="cpu", index=0, name="stub", slug="stub")
ARTIFACT = (
    ArtifactFile(name="graph.json", at="mark", max_bytes=1000),
    ArtifactFile(name="weights.safetensors", at="end", max_bytes=1_000_000),
    ArtifactFile(name="claims.json", at="end", max_bytes=1000),
)
LIMITS = Limits(memory_bytes=256_000_000, cpus=1, pids=32, out_bytes=8_000_000, tmp_bytes=8_000_000, shm_bytes=4_000_000, log_bytes=20_000)

MakeSpec = Callable[..., Spec]


@pytest.fixture
def make_spec(tmp_path: Path) -> MakeSpec:
    """A spec that runs the given program after the preamble."""

    def make(program: str, **changes: object) -> Spec:
        task = tmp_path / "task"
        task.mkdir(exist_ok=True)
        (task / "run.py").write_text(PREAMBLE + textwrap.dedent(program))
        options: dict[str, object] = {
            "command": ("python3", "-S", "{task}/run.py"),
            "folders": {"TASK": task},
            "device": DEVICE,
            "limits": LIMITS,
            "seed": 7,
            "budget_s": 0.5,
            "clock": Clock(startup_cap_s=10, startup_allowance_s=0.5, finish_cap_s=1.5),
            "collect": ARTIFACT,
            "labels": {"night": "test", "run": "1"},
        }
        tmp_path.chmod(0o755)
        return Spec(**(options | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def docker_sandbox() -> Iterator[Sandbox]:
    from appliance.sandbox import image

    built = image.build(image.ImageOptions(), print)
    sandbox = open_sandbox("docker", image=built.tag, digest=built.digest)
    yield sandbox
    assert sandbox.sweep({"night": "test"}) == [], "something of these tests stayed behind"


@pytest.fixture(params=[pytest.param("docker", marks=pytest.mark.engine), "process"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "docker":
        found: Sandbox = request.getfixturevalue("docker_sandbox")
        return found
    return open_sandbox("process", python=Path(shutil.which("python3") or sys.executable))
