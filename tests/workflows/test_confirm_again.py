"""A night's winner confirmed after the night, through the real ledger."""

from pathlib import Path

from aftermath_nights import Counted, constant, finished_night, reopened

from appliance import ledger
from appliance.judge import ConfirmationPlan
from appliance.records import Confirmation, Run
from appliance.tasks import Estimator
from appliance.workflows import confirm, testuses
from appliance.workflows.assets import Assets
from appliance.workflows.clock import Clock
from appliance.workflows.opening import equipped
from appliance.workflows.progress import Silent

NARROW = {"a narrower net": constant("WIDTH", 8)}


def _again(folder: Path, place: object, execution: Counted, pairs: int) -> Confirmation:
    with ledger.open(folder, afterwards=True) as book:
        done = confirm.again(reopened(book, place, execution), pairs, Silent())
    assert done.page.is_file()
    assert done.state.confirmation is not None
    return done.state.confirmation


def _confirming(folder: Path) -> list[Run]:
    return [run for run in ledger.read(folder).runs if run.kind == "confirm"]


def test_each_confirmation_takes_fresh_seeds_and_no_pair_is_left_out(tmp_path: Path):
    folder, place = finished_night(tmp_path, NARROW)
    first = _again(folder, place, Counted(), 4)
    assert first.status == "confirmed"
    before = {run.seed for run in _confirming(folder)}
    again = Counted()
    second = _again(folder, place, again, 3)
    assert {request.seed for request in again.requests}.isdisjoint(before)
    assert {estimate.split: estimate.pairs for estimate in second.estimates} == dict.fromkeys(
        ("val", "test", "transfer_model", "transfer_configuration"), 7
    )
    assert second.claimed == first.claimed


def test_pairs_share_a_seed_and_alternate_who_goes_first(tmp_path: Path):
    folder, place = finished_night(tmp_path, NARROW)
    execution = Counted()
    _again(folder, place, execution, 2)
    runs = _confirming(folder)
    assert [run.experiment for run in runs] == [0, 1, 1, 0] * 2
    assert [run.seed for run in runs[::2]] == [run.seed for run in runs[1::2]]


def test_an_interrupted_confirmation_keeps_its_whole_pairs_and_never_completes_the_half_one(tmp_path: Path):
    folder, place = finished_night(tmp_path, NARROW)
    with ledger.open(folder, afterwards=True) as book:
        done = confirm.again(reopened(book, place, Counted(stop_at=6)), 4, Silent())
    assert done.interrupted
    assert done.state.confirmation is not None
    assert done.state.confirmation.status == "not_run"
    assert next(e.pairs for e in done.state.confirmation.estimates if e.split == "test") == 2
    broken = _confirming(folder)[-1]
    assert broken.status == "interrupted"
    again = Counted()
    _again(folder, place, again, 1)
    assert broken.seed not in {request.seed for request in again.requests}


def test_the_look_at_the_test_splits_is_counted_once_per_night(tmp_path: Path):
    folder, place = finished_night(tmp_path, NARROW)
    for _ in range(2):
        _again(folder, place, Counted(), 1)
    assert testuses.uses(place.first.sha256) == [folder.name]
    assert testuses.uses(place.second.sha256) == [folder.name]


def test_what_comes_after_the_night_moves_neither_its_clock_nor_its_end(tmp_path: Path):
    folder, place = finished_night(tmp_path, NARROW)
    before = ledger.read(folder)
    with ledger.open(folder, afterwards=True) as book:
        spent = book.clock_spent_s
    _again(folder, place, Counted(), 1)
    after = ledger.read(folder)
    with ledger.open(folder, afterwards=True) as book:
        assert book.clock_spent_s == spent
    assert (after.state.ended_at, after.state.phase, after.state.cuts) == (before.state.ended_at, "end", before.state.cuts)


def test_a_confirmation_at_the_end_of_a_night_takes_no_pair_of_another_winner(tmp_path: Path):
    folder, place = finished_night(tmp_path, {**NARROW, "flatter": constant("DEPTH", 4)})
    execution = Counted()
    with ledger.open(folder, afterwards=True) as book:
        runs, _ = equipped(book, execution, Estimator(place.loaded, book.plan.preset, book.plan.profile), Clock(1e9), Silent())
        end = confirm.Confirm(
            book=book, runs=runs, assets=Assets(book), first=place.first, second=place.second, clock=None, progress=Silent()
        )
        plan = ConfirmationPlan(test_pairs=2, transfer_pairs=2, seconds=1.0, fits=True)
        for winner in (1, 1, 2):  # the second time as a resumed night does: what is there is not run again
            end.run(winner, plan, None, 0.01)
    seeds = [[request.seed for request in execution.requests if request.corpus is corpus] for corpus in (place.first, place.second)]
    assert [len(of) for of in seeds] == [8, 8]
    assert [len(set(of)) for of in seeds] == [4, 4]
