"""The winner's changes taken out in turn, through the real ledger."""

from pathlib import Path
from typing import Any

import pytest
from aftermath_nights import IDLE, RUN_S, Counted, constant, finished_night, reopened

from appliance import ledger
from appliance.errors import ApplianceError, UsageError
from appliance.workflows import attribute
from appliance.workflows.clock import Clock
from appliance.workflows.opening import Aftermath
from appliance.workflows.progress import Silent

CHANGES = {
    "a narrower net": constant("WIDTH", 8),
    "a helper that nobody calls": lambda text: text + IDLE,
    "a smaller rate": constant("RATE", 0.1),
}


def _attribute(folder: Path, place: Any, execution: Counted, runs: int) -> Aftermath:
    """For as long as so many runs take."""
    with ledger.open(folder, afterwards=True) as book:
        clock = Clock((runs + 0.5) * RUN_S, now=execution.seconds)
        return attribute.within(reopened(book, place, execution), clock, Silent())


def _rows(done: Aftermath) -> dict[str, dict[str, Any]]:
    return {row["change"]: row for row in done.state.attribution}


def test_the_change_that_carries_the_gain_is_told_from_the_one_that_came_along(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    done = _attribute(folder, place, Counted(), 40)
    rows = _rows(done)
    assert [row["change"] for row in done.state.attribution][-1] == "a helper that nobody calls"
    assert rows["a narrower net"]["carries"] is True
    assert rows["a narrower net"]["loss"] == pytest.approx(0.04, abs=0.005)
    assert rows["a smaller rate"]["carries"] is True
    assert rows["a helper that nobody calls"]["carries"] is False
    assert rows["a narrower net"]["share"] + rows["a smaller rate"]["share"] == pytest.approx(1, abs=0.15)
    assert {row["experiment"] for row in rows.values()} == {1, 2, 3}
    assert ledger.read(folder).state.attribution == done.state.attribution
    page = done.page.read_text()
    assert "carries gain" in page
    assert "came along" in page


def test_the_largest_claim_is_first_and_the_winner_runs_beside_each_group(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    _attribute(folder, place, Counted(), 5)
    runs = [run for run in ledger.read(folder).runs if run.kind == "attribute"]
    winner = ledger.read(folder).state.incumbent_sha256
    assert [run.experiment for run in runs] == [3, 1, 3, 3, 2]
    assert [run.asset_sha256 == winner for run in runs] == [True, False, False, True, False]
    assert [run.seed for run in runs] == [runs[0].seed] * 3 + [runs[3].seed] * 2
    assert runs[0].seed != runs[3].seed


def test_a_second_attribution_goes_on_with_fresh_seeds_and_all_runs_count(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    first = _attribute(folder, place, Counted(), 10)
    again = Counted()
    second = _attribute(folder, place, again, 10)
    runs = [run for run in ledger.read(folder).runs if run.kind == "attribute"]
    assert not {request.seed for request in again.requests} & {run.seed for run in runs[: len(runs) - len(again.requests)]}
    for change, row in _rows(second).items():
        assert row["runs"] > _rows(first)[change]["runs"]


def test_an_interrupted_attribution_keeps_what_is_done(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    done = _attribute(folder, place, Counted(stop_at=3), 40)
    assert done.interrupted
    rows = _rows(done)
    assert rows["a narrower net"]["runs"] == 1
    assert rows["a narrower net"]["carries"] is True
    assert rows["a smaller rate"]["loss"] is None
    assert rows["a smaller rate"]["note"] == "no time for a run without it"
    assert ledger.read(folder).state.attribution == done.state.attribution
    assert done.page.is_file()


def test_a_change_that_a_later_one_overtook_is_said_and_not_run(tmp_path: Path):
    folder, place = finished_night(tmp_path, {"half as wide": constant("WIDTH", 16), "again": constant("WIDTH", 8)})
    done = _attribute(folder, place, Counted(), 6)
    rows = _rows(done)
    assert rows["half as wide"]["note"] == "cannot be taken out alone: a later change set WIDTH again"
    assert (rows["half as wide"]["runs"], rows["half as wide"]["loss"]) == (0, None)
    assert rows["again"]["carries"] is True


def test_a_change_without_which_the_winner_does_not_run_is_tried_once_and_said(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    execution = Counted(broken="RATE = 0.5")
    done = _attribute(folder, place, execution, 12)
    assert _rows(done)["a smaller rate"]["note"] == "the winner does not run without it: out_of_memory"
    assert sum("RATE = 0.5" in request.files["asset.py"] for request in execution.requests) == 1
    assert _rows(done)["a narrower net"]["runs"] > 1


def test_a_winner_that_runs_no_more_ends_it_with_one_line(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    with pytest.raises(ApplianceError, match="the winner does not run any more: out_of_memory"):
        _attribute(folder, place, Counted(broken="RATE = 0.1"), 12)
    assert (folder / "report.html").is_file()


def test_too_few_hours_for_one_comparison_are_refused_before_anything_runs(tmp_path: Path):
    folder, place = finished_night(tmp_path, CHANGES)
    execution = Counted()
    with pytest.raises(UsageError, match="give --hours"):
        _attribute(folder, place, execution, 1)
    assert execution.requests == []
