"""A night's folder: made whole, opened by one, found by name, read in any state."""

import gzip
import os
import re
import signal
import subprocess
import sys

import msgspec
import pytest

from appliance import ledger
from appliance.errors import ApplianceError, UsageError
from appliance.records import Proposal, Verdict

QUIET = {"reserve_bytes": 0, "heartbeat_s": 0}


def reopen(book):
    book.close()
    return ledger.open(book.folder, **QUIET)


def kill(book):
    """Leave a night as a killed process does: lock gone, nothing said."""
    book._closed.set()
    book._journal.close()
    book._lock.release()
    return book.folder


def test_an_id_names_time_device_and_four_hex_digits():
    assert re.fullmatch(r"\d{8}-\d{6}-nvidia-h200-[0-9a-f]{4}", ledger.new_night_id("nvidia-h200"))


def test_a_new_night_has_every_folder_and_its_plan(night):
    assert {path.name for path in night.folder.iterdir()} >= {"night.json", "journal.db", "runs", "experiments", "assets", "logs", "winner"}
    assert ledger.read_plan(night.folder) == night.plan


def test_a_night_that_exists_is_not_made_again(night):
    with pytest.raises(UsageError, match="--resume"):
        ledger.create(night.folder.parent, night.plan)


def test_a_second_writer_is_refused_with_who_holds_the_night(night):
    with pytest.raises(UsageError, match=rf"in use by process {os.getpid()} on "):
        ledger.open(night.folder)
    assert ledger.night_holder(night.folder).pid == os.getpid()


def test_a_night_is_free_when_its_owner_closed_it(night):
    night.close()
    assert ledger.night_holder(night.folder) is None
    ledger.open(night.folder, **QUIET).close()


def test_the_lock_of_a_killed_owner_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setenv("APPLIANCE_STATE", str(tmp_path))
    code = "import time; from appliance.ledger import DeviceLock; lock = DeviceLock('GPU-1'); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout.readline() == "held\n"
            with pytest.raises(UsageError, match=f"device GPU-1 is in use by process {owner.pid}"):
                ledger.DeviceLock("GPU-1")
            with ledger.DeviceLock("GPU-2"):
                pass
        finally:
            owner.send_signal(signal.SIGKILL)
    with ledger.DeviceLock("GPU-1"):
        assert ledger.device_holder("GPU-1").pid == os.getpid()
    assert ledger.device_holder("GPU-1") is None


def test_a_name_finds_a_night_by_path_id_or_beginning(tmp_path, make_plan):
    for night_id in ("20260101-000000-cpu-0000", "20260102-000000-cpu-0000", "20260102-000001-cpu-0000"):
        ledger.create(tmp_path, make_plan(night_id), **QUIET).close()
    assert ledger.find(tmp_path).name == "20260102-000001-cpu-0000"
    assert ledger.find(tmp_path, "20260101").name == "20260101-000000-cpu-0000"
    assert ledger.find(tmp_path, "20260102-000000-cpu-0000").name == "20260102-000000-cpu-0000"
    assert ledger.find(tmp_path, str(tmp_path / "20260101-000000-cpu-0000")) == tmp_path / "20260101-000000-cpu-0000"
    with pytest.raises(UsageError, match="could be"):
        ledger.find(tmp_path, "20260102")
    with pytest.raises(UsageError, match=r"no night '1999'.*20260102-000001"):
        ledger.find(tmp_path, "1999")


def test_no_night_at_all_says_how_to_start_one(tmp_path):
    with pytest.raises(UsageError, match="appliance overnight"):
        ledger.find(tmp_path / "nights")


def test_a_folder_that_is_no_night_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"no night: it has no night\.json"):
        ledger.open(tmp_path)


def test_an_interrupted_run_is_known_and_gives_its_number_back(night, make_run):
    night.plan_run(1, 0, "calibration", 7, "a" * 64)
    night.advance_run(1, "started", nonce="n", container_id="c1")
    with ledger.open(kill(night), **QUIET) as again:
        (cut,) = again.interrupted()
        assert (cut.number, cut.state, cut.attempts, cut.facts["container_id"], cut.facts["seed"]) == (1, "started", 1, "c1", 7)
        assert again.next_run() == 1
        again.plan_run(1, 0, "calibration", 7, "a" * 64)
        again.advance_run(1, "started", container_id="c2")
        assert again.interrupted()[0].attempts == 2
        again.record_run(make_run(1))
        assert again.interrupted() == []
        assert again.next_run() == 2


def test_a_run_recorded_twice_is_there_once(night, make_run):
    night.record_run(make_run(1))
    night.record_run(make_run(1, score=9.0))
    assert [run.score for run in reopen(night).runs()] == [make_run(1).score]


def test_a_decided_run_cannot_start_again(night, make_run):
    night.record_run(make_run(1))
    with pytest.raises(ApplianceError, match="cannot become started"):
        night.advance_run(1, "started")


def test_an_undecided_proposal_is_there_after_a_kill_and_need_not_be_asked_for_again(night, make_experiment):
    proposal = Proposal(files={"train.py": "A = 2\n"}, hypothesis="h", agent="replay", parent_sha256="a" * 64)
    night.plan_experiment(1, proposal, parent=0, agent_state={"asked": 1})
    with ledger.open(kill(night), **QUIET) as again:
        (pending,) = again.pending_experiments()
        assert pending.proposal == proposal
        assert pending.facts["parent"] == 0
        assert again.load_agent() == {"asked": 1}
        again.record_experiment(make_experiment(1, verdict=Verdict.KEPT, incumbent=1), agent_state={"asked": 1, "told": 1}, incumbent=1)
        assert again.pending_experiments() == []
        folder = kill(again)
    with ledger.open(folder, **QUIET) as third:
        assert third.state.incumbent == 1
        assert third.load_agent() == {"asked": 1, "told": 1}
        assert third.next_experiment() == 2


def test_a_file_that_vanished_is_made_again_from_the_journal(night, make_run):
    run = make_run(1)
    night.record_run(run)
    (kill(night) / "runs" / "run-000001.parquet").unlink()
    with ledger.open(night.folder, **QUIET) as again:
        assert again.reconciled.rewritten == ["run 1"]
        assert again.run(1) == run


def test_a_damaged_file_is_set_aside_and_made_again(night, make_run):
    run = make_run(1)
    night.record_run(run)
    path = kill(night) / "runs" / "run-000001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    assert ledger.read(night.folder).runs == []
    with ledger.open(night.folder, **QUIET) as again:
        assert again.run(1) == run
        assert [path.name for path in (night.folder / "damaged").iterdir()] == ["run-000001.parquet"]


def test_files_that_the_journal_does_not_know_are_adopted(night, make_run, make_experiment):
    night.record_run(make_run(1))
    night.record_experiment(make_experiment(1))
    folder = kill(night)
    for path in folder.glob("journal.db*"):
        path.unlink()
    with ledger.open(folder, **QUIET) as again:
        assert again.reconciled.adopted == ["run 1", "experiment 1"]
        assert (again.next_run(), again.next_experiment()) == (2, 2)


def test_a_damaged_journal_is_set_aside_and_made_again_from_the_files(night, make_run):
    night.record_run(make_run(1))
    folder = kill(night)
    (folder / "journal.db").write_bytes(b"this is not a database, it is a sentence" * 100)
    with ledger.open(folder, **QUIET) as again:
        assert again.reconciled.set_aside[0].startswith("journal.db: ")
        assert [run.run for run in again.runs()] == [1]


def test_what_nothing_holds_any_more_is_said_and_done_again(night, make_run):
    night.record_run(make_run(1))
    night.record_run(make_run(2))
    night.compact()
    next((kill(night) / "runs").glob("*.parquet")).unlink()
    with ledger.open(night.folder, **QUIET) as again:
        assert again.reconciled.lost == ["run 1", "run 2"]
        assert again.next_run() == 1


def test_temporaries_of_a_dead_writer_are_removed(night):
    folder = kill(night)
    (folder / "runs" / ".run-000001.parquet.77.tmp").write_bytes(b"half")
    (folder / "assets" / f".{'a' * 64}.77.tmp").mkdir()
    with ledger.open(folder, **QUIET) as again:
        assert again.reconciled.temporaries == 2
    assert list((folder / "runs").iterdir()) == list((folder / "assets").iterdir()) == []


def test_a_cut_is_noted_with_where_and_why(night):
    night.update_state(phase="search")
    night.heartbeat()
    with ledger.open(kill(night), **QUIET) as again:
        (cut,) = again.state.cuts
        assert (cut["why"], cut["phase"]) == ("killed", "search")
        assert cut["clock_spent_s"] >= 0
        third = reopen(again)
    assert [cut["why"] for cut in third.state.cuts] == ["killed", "stopped"]
    third.update_state(phase="done", ended_at="2026-01-01T00:00:00Z")
    fourth = reopen(third)
    assert len(fourth.state.cuts) == 2
    fourth.close()


def test_the_clock_goes_on_from_where_it_was(night):
    night._clock_base = 1000.0
    night.heartbeat()
    with ledger.open(kill(night), **QUIET) as again:
        assert 1000.0 <= again.clock_spent_s < 1100.0


def test_a_reader_sees_a_night_that_goes_on_and_changes_nothing(night, make_run):
    night.update_state(phase="calibrate")
    night.record_run(make_run(1))
    before = sorted(path.name for path in night.folder.rglob("*"))
    seen = ledger.read(night.folder)
    assert seen.state.phase == "calibrate"
    assert [run.run for run in seen.runs] == [1]
    assert sorted(path.name for path in night.folder.rglob("*")) == before


def test_a_night_without_journal_tells_its_end_from_winner_json(night, make_run, make_experiment):
    baseline = night.store_asset({"train.py": "A = 1\n"})
    winner = night.store_asset({"train.py": "A = 2\n"})
    night.record_experiment(
        make_experiment(1, asset_sha256=winner, verdict=Verdict.KEPT, incumbent=1), incumbent=1, incumbent_sha256=winner
    )
    night.set_winner(winner, {"experiment": 1})
    night.update_state(phase="done", ended_at="2026-01-01T01:00:00Z")
    folder = kill(night)
    whole = ledger.read(folder)
    for path in folder.glob("journal.db*"):
        path.unlink()
    assert ledger.read(folder) == whole
    assert set(whole.assets) == {baseline, winner}
    assert (folder / "winner" / "train.py").read_text() == "A = 2\n"
    document = msgspec.json.decode((folder / "winner" / "winner.json").read_bytes())
    assert (document["experiment"], document["asset_sha256"], document["format_version"]) == (1, winner, 1)


def test_a_night_with_rows_alone_names_its_incumbent(night, make_experiment):
    night.record_experiment(make_experiment(1, verdict=Verdict.KEPT, incumbent=1))
    folder = kill(night)
    for path in folder.glob("journal.db*"):
        path.unlink()
    assert ledger.read(folder).state.incumbent == 1


def test_a_night_at_rest_is_read_without_a_trace(night, make_run):
    night.record_run(make_run(1))
    night.update_state(phase="search")
    night.close()
    before = sorted(path.name for path in night.folder.iterdir())
    assert ledger.read(night.folder).state.phase == "search"
    assert sorted(path.name for path in night.folder.iterdir()) == before


def test_compaction_keeps_every_row_in_few_files(night, make_run, make_experiment):
    runs = [make_run(number, experiment=number) for number in range(1, 6)]
    for run in runs:
        night.record_run(run)
        night.record_experiment(make_experiment(run.run))
    before = ledger.read(night.folder)
    night.close()
    assert ledger.compact(night.folder) == 10
    assert [path.name for path in (night.folder / "runs").iterdir()] == ["runs-000001-000005.parquet"]
    assert ledger.read(night.folder).runs == before.runs == runs
    with ledger.open(night.folder, **QUIET) as again:
        assert again.next_run() == 6
        assert again.run(3) == runs[2]
        again.record_run(make_run(6))
        again.compact()
        assert [run.run for run in ledger.read(night.folder).runs] == [1, 2, 3, 4, 5, 6]


def test_an_asset_is_stored_once_by_content_and_a_changed_one_is_refused(night):
    files = {"train.py": "A = 1\n", "lib/model.py": "B = 2\n"}
    sha256 = night.store_asset(files)
    assert night.store_asset(dict(reversed(files.items()))) == sha256
    assert night.load_asset(sha256) == files
    changed = night.folder / "assets" / sha256 / "train.py.gz"
    for data in (gzip.compress(b"A = 3\n"), b"A = 1\n", changed.read_bytes()[:-5]):
        changed.write_bytes(data)
        with pytest.raises(ApplianceError, match="was changed"):
            night.load_asset(sha256)


def test_an_asset_takes_less_room_than_its_text(night):
    sha256 = night.store_asset({"train.py": "LEARNING_RATE = 0.01\n" * 1000})
    assert sum(path.stat().st_size for path in (night.folder / "assets" / sha256).iterdir()) < 1000


def test_an_asset_that_an_earlier_version_kept_as_plain_files_is_read(night):
    files = {"train.py": "A = 1\n", "lib/model.py": "B = 2\n"}
    folder = night.folder / "assets" / ledger.asset_sha256(files)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    assert night.load_asset(night.store_asset(files)) == files
    assert not list(folder.rglob("*.gz"))


@pytest.mark.parametrize("name", ["../train.py", "/etc/passwd", "", "a/../../b", ".hidden"])
def test_an_asset_file_cannot_leave_its_folder(night, name):
    with pytest.raises(UsageError, match="relative name"):
        night.store_asset({name: "x"})


def test_a_log_is_cut_in_its_middle(night):
    night.write_log(1, "begin\n" + "x" * 2**20 + "\nend")
    text = ledger.read_log(night.folder, 1)
    assert text.startswith("begin\n")
    assert text.endswith("\nend")
    assert "bytes left out" in text
    assert len(text) < 300_000
    assert ledger.read_log(night.folder, 2) is None


def a_night_with_a_keep(night, make_run, make_experiment):
    night.record_run(make_run(1))
    night.record_run(make_run(2, status="invalid", score=None, scores=[]))
    night.record_experiment(make_experiment(1))
    night.record_experiment(make_experiment(2, verdict=Verdict.KEPT, incumbent=2))
    night.update_state(phase="search", incumbent=2)
    return night.folder


def told(folder):
    standing = ledger.standing(folder)
    experiments = [f"{one['experiment']} {one['verdict']}, then {one['incumbent']}" for one in standing.experiments]
    return standing.state.phase, [run["status"] for run in standing.runs], experiments


WHERE = ("search", ["ok", "invalid"], ["1 within_noise, then 0", "2 kept, then 2"])


def test_where_a_night_stands_is_told_without_its_rows(night, make_run, make_experiment):
    folder = a_night_with_a_keep(night, make_run, make_experiment)
    assert told(folder) == WHERE
    for path in [*folder.glob("runs/*.parquet"), *folder.glob("experiments/*.parquet")]:
        path.unlink()
    assert told(folder) == WHERE


def test_where_a_night_stands_is_told_by_its_rows_when_its_journal_does_not_know_them(night, make_run, make_experiment):
    folder = a_night_with_a_keep(night, make_run, make_experiment)
    kill(night)
    for path in folder.glob("journal.db*"):
        path.unlink()
    with ledger.open(folder, **QUIET) as again:  # a new journal has adopted the rows
        again.update_state(phase="search", incumbent=2)
        assert told(folder) == WHERE


def test_where_a_night_stands_is_told_without_arrow(night, make_run, make_experiment):
    folder = a_night_with_a_keep(night, make_run, make_experiment)
    code = "import sys, pathlib; from appliance import ledger; ledger.standing(pathlib.Path(sys.argv[1])); print('pyarrow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code, str(folder)], text=True) == "False\n"
