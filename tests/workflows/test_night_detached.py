"""A night without its terminal: it begins in the foreground, goes on in the background, and is found, looked at, ended and gone on with."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from appliance import hardware, ledger, paths, profiles
from appliance.profiles.probed import BENCHMARK_VERSION
from appliance.records import Measurement

CURVE = str(paths.share("examples") / "curve")
NIGHT = ("--task", CURVE, "--sandbox", "process", "--device", "cpu", "--hours", "0.5")


def appliance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "appliance", *arguments], capture_output=True, text=True, timeout=300, check=False)


def until(come_true, seconds: float = 120.0):
    """What it gives as soon as that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := come_true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{come_true} did not come true")


def address_in(log: Path) -> str | None:
    found = re.findall(r"its page, live: (\S+)", log.read_text())
    return found[-1] if found else None


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=30) as page:
            return page.status == 200
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def measured() -> None:
    """A machine whose profile is known already."""
    device = hardware.choose(hardware.detect(), "cpu")
    profiles.store(
        Measurement(
            benchmark_version=BENCHMARK_VERSION,
            measured_at="2026-01-01T00:00:00Z",
            mode="quick",
            device=msgspec.to_builtins(device),
            environment={"torch": "2.13.0"},
            matrix=[],
            attention=[],
        )
    )


@pytest.fixture
def detached(measured: None) -> Iterator[dict[str, str]]:
    done = appliance("overnight", *NIGHT, "--detach", "--serve", "127.0.0.1:0", "--json")
    assert done.returncode == 0, done.stderr
    night = json.loads(done.stdout)
    yield night
    if ledger.night_holder(Path(night["folder"])):
        os.kill(night["pid"], signal.SIGKILL)


def test_a_night_that_cannot_begin_fails_in_the_foreground_and_leaves_nothing():
    done = appliance("overnight", *NIGHT, "--agent", "nobody", "--detach")
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("appliance: no agent 'nobody'")]
    assert done.stdout == ""
    assert not paths.nights().exists()


def test_a_page_that_cannot_be_served_fails_before_the_night():
    done = appliance("overnight", *NIGHT, "--serve", "192.0.2.1:8750")
    assert done.returncode == 1
    assert done.stderr.startswith("appliance: cannot serve on 192.0.2.1:8750")
    assert not paths.nights().exists()


def test_a_detached_night_is_found_looked_at_ended_and_gone_on_with(detached: dict[str, str]):
    folder, log = Path(detached["folder"]), Path(detached["log"])
    said = json.loads(appliance("status", detached["night"], "--json").stdout)
    assert (said["running"], said["pid"], said["log"]) == (True, detached["pid"], str(log))
    assert os.getsid(detached["pid"]) == detached["pid"]
    assert log.stat().st_mode & 0o077 == 0
    address = until(lambda: address_in(log))
    assert answers(address)
    page = next(pid for pid in children(detached["pid"]) if b"serving" in Path(f"/proc/{pid}/cmdline").read_bytes())
    assert os.sched_getscheduler(page) == os.SCHED_IDLE

    stopped = appliance("stop", detached["night"])
    assert stopped.stdout.startswith("stopped"), stopped.stdout + stopped.stderr
    assert (folder / "report.html").is_file()
    assert ledger.read(folder).state.phase == "cut", log.read_text()
    until(lambda: not answers(address))

    done = appliance("overnight", "--resume", detached["night"], "--detach", "--serve", "127.0.0.1:0", "--json")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert (again["folder"], again["log"]) == (detached["folder"], detached["log"])
    other = until(lambda: address_in(log) if address_in(log) != address else None)
    assert answers(other)
    os.kill(again["pid"], signal.SIGKILL)
    until(lambda: not answers(other))
    assert ledger.night_holder(folder) is None
