import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.hardware import Monitor, choose, detect
from appliance.hardware.cgroup import Cgroup, ProcessTree, account_of, locate

CPU = choose(detect(), "cpu")
SPIN = "import time; held = bytearray(64 << 20); end = time.time() + 1.0\nwhile time.time() < end: pass"


def test_a_run_without_a_container_is_told_from_the_rest_of_the_machine() -> None:
    ours = subprocess.Popen([sys.executable, "-c", SPIN])
    monitor = Monitor(CPU, ours.pid, interval_s=0.1).start()
    ours.wait()
    told = monitor.stop()
    assert told.peak_memory_bytes is not None
    assert 64 << 20 <= told.peak_memory_bytes < 1 << 30
    assert told.cpu_others_share is not None
    assert 0 <= told.cpu_others_share <= 1
    assert told.memory_available_min_bytes is not None
    assert told.samples > 3
    assert told.suspended_s == 0
    assert told == monitor.stop()


def test_others_are_seen_beside_an_idle_run() -> None:
    idle = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    busy = subprocess.Popen([sys.executable, "-c", SPIN])
    with Monitor(CPU, idle.pid, interval_s=0.1) as monitor:
        busy.wait()
    idle.kill()
    idle.wait()
    share = monitor.stop().cpu_others_share
    assert share is not None
    assert share * (os.cpu_count() or 1) > 0.3


def test_a_process_tree_counts_children_that_ended() -> None:
    code = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {SPIN!r}]); time.sleep(30)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    tree = ProcessTree(parent.pid)
    deadline = time.monotonic() + 20
    while len(tree.pids()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    while len(tree.pids()) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    used = tree.cpu_s()
    parent.kill()
    parent.wait()
    assert used is not None
    assert used > 0.2
    assert tree.pids() == set()
    assert tree.cpu_s() is None


def test_a_run_in_our_own_cgroup_is_counted_by_its_processes() -> None:
    assert isinstance(account_of(os.getpid()), ProcessTree)


def test_a_process_that_is_gone_has_no_cgroup() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert locate(gone.pid) is None
    told = Monitor(CPU, gone.pid).start().stop()
    assert told.peak_memory_bytes is None


def test_without_a_process_the_shares_of_own_and_others_are_unknown() -> None:
    told = Monitor(CPU, None, interval_s=0.05).start().stop()
    assert told.cpu_others_share is None
    assert told.samples == 2


@pytest.fixture
def own_cgroup() -> Iterator[Callable[[int], None]]:
    """Moves a process into a version 1 cgroup of its own, as an engine does."""
    folders = [Path("/sys/fs/cgroup", name, f"appliance-test-{os.getpid()}") for name in ("cpuacct", "memory")]
    try:
        for folder in folders:
            folder.mkdir()
    except OSError:
        pytest.skip("no right to make a version 1 cgroup here")
    yield lambda pid: [folder.joinpath("cgroup.procs").write_text(str(pid)) for folder in folders] and None
    for folder in folders:
        folder.rmdir()


def test_a_run_in_a_cgroup_of_its_own_is_counted_by_the_kernel(own_cgroup: Callable[[int], None]) -> None:
    ours = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read(1); " + SPIN], stdin=subprocess.PIPE)
    own_cgroup(ours.pid)
    account = account_of(ours.pid)
    assert isinstance(account, Cgroup)
    monitor = Monitor(CPU, ours.pid, interval_s=0.1).start()
    ours.communicate(b"x")
    told = monitor.stop()
    assert account.pids() == set()
    used = account.cpu_s()
    assert used is not None
    assert 0.1 < used < 10
    assert told.peak_memory_bytes is not None
    assert told.peak_memory_bytes >= 64 << 20
