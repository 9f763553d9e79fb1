"""A disk that fails, fills up or ends the process: rows are whole or absent, results go last."""

import errno
import os

import pytest

from appliance import ledger
from appliance.errors import PrerequisiteError
from appliance.ledger.disk import ReadBackError
from appliance.records import Proposal

QUIET = {"reserve_bytes": 0, "heartbeat_s": 0}


class Full(ledger.Disk):
    """No space until `room` bytes were made."""

    def __init__(self, measures_needed):
        self.refusals = measures_needed

    def write(self, descriptor, data):
        if self.refusals > 0:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "injected")
        return super().write(descriptor, data)


class Short(ledger.Disk):
    """Takes three bytes at a time."""

    def write(self, descriptor, data):
        return os.write(descriptor, data[:3])


class Lying(ledger.Disk):
    """Takes half and claims all."""

    def write(self, descriptor, data):
        os.write(descriptor, data[: len(data) // 2])
        return len(data)


class Stopping(ledger.Disk):
    """Stands for a kill at a step: raises what nothing catches."""

    def __init__(self, at):
        self.at = at

    def step(self, name):
        if name == self.at:
            raise KeyboardInterrupt(name)


def with_disk(night, disk):
    """The night on another disk."""
    night._disk = disk
    return night


def left_over(folder):
    return [path.name for path in folder.rglob("*.tmp")]


def test_short_writes_are_gone_on_with(night, make_run):
    with_disk(night, Short()).record_run(make_run(1))
    assert night.run(1) == make_run(1)


def test_a_write_that_claims_more_than_it_did_is_found_by_reading_back(night, make_run):
    with pytest.raises(ReadBackError, match="does not read back"):
        with_disk(night, Lying()).record_run(make_run(1))
    assert list((night.folder / "runs").iterdir()) == []
    with_disk(night, ledger.Disk()).record_run(make_run(1))
    assert ledger.read(night.folder).runs == [make_run(1)]


def test_on_a_full_disk_the_oldest_logs_of_runs_go_first(night, make_run):
    for number in (1, 2):
        night.write_log(number, "x")
    own = night.folder / "logs" / "overnight.log"
    own.write_text("of the night itself")
    with_disk(night, Full(1)).record_run(make_run(1))
    assert ledger.read_log(night.folder, 1) is None
    assert ledger.read_log(night.folder, 2) == "x"
    with_disk(night, Full(2)).record_run(make_run(2))
    assert ledger.read_log(night.folder, 2) is None
    assert own.exists()
    assert len(ledger.read(night.folder).runs) == 2


def test_the_reserve_goes_last_and_comes_back(tmp_path, make_plan, make_run):
    with ledger.create(tmp_path, make_plan(), reserve_bytes=4096, heartbeat_s=0) as book:
        assert (book.folder / ".reserve").stat().st_size == 4096
        with_disk(book, Full(3)).record_run(make_run(1))
        assert not (book.folder / ".reserve").exists()
        folder = book.folder
    with ledger.open(folder, reserve_bytes=4096, heartbeat_s=0):
        assert (folder / ".reserve").exists()


def test_a_disk_that_stays_full_says_what_to_do_and_the_decision_is_not_lost(night, make_run):
    with pytest.raises(PrerequisiteError, match=r"free some space, then continue with appliance overnight --resume 20260101"):
        with_disk(night, Full(99)).record_run(make_run(1))
    assert left_over(night.folder) == []
    night.close()
    with ledger.open(night.folder, **QUIET) as again:
        assert again.reconciled.rewritten == ["run 1"]
        assert again.runs()[0].score == make_run(1).score


@pytest.mark.parametrize("step", ["run-judged", "run-created", "run-written", "run-synced", "run-renamed", "folder-synced", "run-recorded"])
def test_a_run_that_was_decided_is_there_once_wherever_the_night_was_cut(night, make_run, step):
    with pytest.raises(KeyboardInterrupt):
        with_disk(night, Stopping(step)).record_run(make_run(1))
    night.close()
    with ledger.open(night.folder, **QUIET) as again:
        assert [run.run for run in again.runs()] == [1]
        again.record_run(make_run(1))
    assert ledger.read(night.folder).runs == [make_run(1)]
    assert left_over(night.folder) == []


@pytest.mark.parametrize("step", ["runs-renamed", "manifest-created", "manifest-renamed", "old-removed"])
def test_a_compaction_that_was_cut_loses_and_doubles_nothing(night, make_run, step):
    runs = [make_run(number) for number in (1, 2, 3)]
    for run in runs:
        night.record_run(run)
    with pytest.raises(KeyboardInterrupt):
        with_disk(night, Stopping(step)).compact()
    assert ledger.read(night.folder).runs == runs
    night.close()
    with ledger.open(night.folder, **QUIET) as again:
        assert again.reconciled.lost == []
        again.compact()
    assert ledger.read(night.folder).runs == runs
    assert len(list((night.folder / "runs").iterdir())) == 1


@pytest.mark.parametrize("step", ["night-written", "night-renamed", "train-written"])
def test_a_night_whose_making_was_cut_is_not_there(tmp_path, make_plan, step):
    with pytest.raises(KeyboardInterrupt):
        ledger.create(tmp_path, make_plan(), [{"train.py": "A = 1\n"}], disk=Stopping(step), **QUIET)
    assert ledger.list_nights(tmp_path) == []
    with ledger.create(tmp_path, make_plan(), [{"train.py": "A = 1\n"}], **QUIET) as book:
        assert book.load_asset(book.plan.baseline_sha256) == {"train.py": "A = 1\n"}


def test_agent_state_and_verdict_are_one_commit(night, make_experiment):
    proposal = Proposal(files={"train.py": "A = 2\n"}, hypothesis="h", agent="replay", parent_sha256="a" * 64)
    night.plan_experiment(1, proposal, 0, agent_state={"told": 0})
    with pytest.raises(KeyboardInterrupt):
        with_disk(night, Stopping("experiment-judged")).record_experiment(make_experiment(1), agent_state={"told": 1}, phase="search")
    night.close()
    with ledger.open(night.folder, **QUIET) as again:
        assert [row.experiment for row in again.experiments()] == [1]
        assert again.load_agent() == {"told": 1}
        assert again.state.phase == "search"
