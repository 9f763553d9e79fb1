"""What a killed process leaves in the temporary folder goes, by the owner in its name; what a living one uses stays."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import temporary

HOLDS = """
import time
from appliance import temporary
with temporary.folder("run") as folder:
    (folder / "weights").write_text("w")
    print("there", flush=True)
    time.sleep(1000)
"""
RUNS = """
import time
from pathlib import Path
from appliance.records import Device
from appliance.sandbox import Spec, open_sandbox
from appliance.workflows.standby import Standby
cpu = Device(kind="cpu", index=0, name="cpu", slug="cpu")
make = lambda asset: open_sandbox("process").create(Spec(command=("sleep", "1000"), folders={"ASSET": asset}, device=cpu))
with Standby().take("data", make):
    print("there", flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this process and of those it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def living(program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has its folders; killed at the end at the latest."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            process.kill()


def test_a_killed_process_loses_its_folders_and_a_living_one_keeps_them(folder: Path):
    with living(HOLDS) as killed, living(HOLDS) as other:
        assert len(list(folder.iterdir())) == 2
        assert temporary.sweep() == []
        killed.kill()
        killed.wait()
        (gone,) = temporary.sweep()
        (left,) = folder.iterdir()
        assert f"-{killed.pid}-" in gone
        assert f"-{other.pid}-" in left.name
        assert (left / "weights").read_text() == "w"


def test_a_killed_process_that_nobody_has_waited_for_is_gone_too(folder: Path):
    with living(HOLDS) as killed:
        killed.kill()
        while temporary.started(killed.pid):
            time.sleep(0.01)
        assert len(temporary.sweep()) == 1


def test_a_later_process_with_the_same_pid_is_not_the_owner(folder: Path):
    with temporary.folder("run") as mine:
        elder = mine.with_name(mine.name.replace(f"-{temporary.started(os.getpid())}-", "-1-"))
        elder.mkdir()
        assert temporary.sweep() == [elder.name]
        assert mine.is_dir()
    assert list(folder.iterdir()) == []


def test_what_is_not_named_so_is_left_alone(folder: Path):
    for name in ("appliance-notes", "appliance-run-1-x", "other-run-1-1-x"):
        (folder / name).mkdir()
    (folder / "appliance-run-1-1-link").symlink_to(folder / "appliance-notes")
    temporary.sweep()
    assert len(list(folder.iterdir())) == 4


def test_a_killed_host_leaves_nothing_of_a_run(folder: Path):
    with living(RUNS) as host:
        kinds = {path.name.split("-")[1] for path in folder.iterdir()}
        assert kinds == {"asset", "control", "work"}
        assert temporary.sweep() == []
    until = time.monotonic() + 60
    while list(folder.iterdir()) and time.monotonic() < until:  # its keeper kills the tree within a second
        temporary.sweep()
        time.sleep(0.1)
    assert host.returncode != 0
    assert list(folder.iterdir()) == []
