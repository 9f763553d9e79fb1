"""What `make bench-kill-night` asks of a night's files: a fault that is there is found."""

import shutil
import subprocess
import sys
from pathlib import Path

import kill_night
import msgspec
import pytest
import simulated_night

from appliance import ledger
from appliance.ledger import Disk, rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night that nobody touched."""
    root = tmp_path_factory.mktemp("nights")
    simulation = simulated_night.Simulation(root=root, replay=simulated_night.write_proposals(root / "proposals", 3), pause_s=0.0)
    with (root / "told").open("wb") as told:
        simulated_night.live(simulation, Disk(), told.fileno())
    return simulation.folder


@pytest.fixture
def night(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return shutil.copytree(whole, tmp_path / whole.name)


def file_of(night: Path, run: int) -> Path:
    return night / "runs" / f"run-{run:06d}.parquet"


def test_a_night_that_nobody_touched_is_whole(night: Path):
    watch = kill_night.Watch()
    runs, experiments = watch.look(night)
    assert (runs, experiments) == (len(ledger.read(night).runs), 3)
    watch.look(night)
    assert (watch.lost, watch.changed, watch.unreadable) == (set(), set(), set())
    assert kill_night.against_journal(night) == ([], [])
    assert kill_night.measured_twice(night) == []


def test_a_row_that_goes_is_lost_for_the_watch_and_for_the_journal(night: Path):
    watch = kill_night.Watch()
    watch.look(night)
    file_of(night, 2).unlink()
    watch.look(night)
    assert watch.lost == {"run 2"}
    assert kill_night.against_journal(night) == (["run 2"], [])


def test_a_row_that_is_another_and_one_that_is_broken_are_told(night: Path):
    watch = kill_night.Watch()
    watch.look(night)
    row = rows.read_one(rows.RUNS, night, 2)
    rows.write(Disk(), rows.RUNS, night, msgspec.structs.replace(row, seed=1))
    file_of(night, 3).write_bytes(b"PAR1")
    watch.look(night)
    assert watch.changed == {"run 2"}
    assert watch.lost == {"run 3"}
    assert len(watch.unreadable) == 1


def test_a_run_that_was_measured_again_is_doubled(night: Path):
    row = rows.read_one(rows.RUNS, night, 2)
    rows.write(Disk(), rows.RUNS, night, msgspec.structs.replace(row, run=99))
    assert kill_night.against_journal(night) == ([], ["run 99"])
    assert kill_night.measured_twice(night) == [f"calibration of 0, seed {row.seed}"]


def test_a_file_and_an_orphan_that_stay_are_left(tmp_path: Path):
    """In a process of its own, which adopts orphans."""
    program = f"""
import os, signal, subprocess, sys
from pathlib import Path
sys.path.insert(0, {str(Path(kill_night.__file__).parent)!r})
import kill_night
kill_night.SETTLE_S = 0.5
kill_night.adopt_orphans()
place = Path({str(tmp_path)!r})
before = kill_night.belongings(place, docker=False)
(place / "forgotten").touch()
pid = int(subprocess.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True).stdout)
print(kill_night.left(before, place, docker=False))
os.kill(pid, signal.SIGKILL)
(place / "forgotten").unlink()
print(kill_night.left(before, place, docker=False))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['file forgotten', 'process sleep']", "[]"]
