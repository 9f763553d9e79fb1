"""Real nights side by side: what was recorded of them comes first, and a method that has changed is told apart."""

import contextlib
import dataclasses
import random

import numpy as np
import pytest
import recorded
import search
import search_nights
from surrogate import PROFILE, Surrogate

from appliance import tasks
from appliance.errors import UsageError
from appliance.records import Constant

FORMULA = Surrogate("cpu-quick")
REFERENCE = tasks.read_constants(FORMULA.loaded.reference(FORMULA.preset))
ABOUT = recorded.Machine(task="trainer", task_sha256="0" * 64, preset="cpu-quick", device="two cores", isolation="docker", profile=PROFILE)


def machine(rows: list[recorded.Row]) -> search_nights.Execute:
    """The formula in the place of the sandbox; every run becomes a row."""

    def execute(method: str, seed: int, constants: dict[str, Constant]) -> recorded.Row:
        score = FORMULA.run({**REFERENCE, **constants}, random.Random(seed))
        row = recorded.Row(index=len(rows), why=method, seed=seed, status="ok", score=round(score, 5), seconds=15.0, constants=constants)
        rows.append(row)
        return row

    return execute


def lived(method: str, rows: list[recorded.Row], steps: int, execute: search_nights.Execute | None) -> search_nights.RealNight:
    night = search_nights.RealNight(method, ABOUT, list(rows), execute)
    for _ in range(steps):
        night.step()
    return night


@pytest.mark.parametrize("method", ["ours", "climb"])
def test_a_night_that_was_cut_goes_on_as_it_would_have(method: str):
    whole: list[recorded.Row] = []
    lived(method, whole, 12, machine(whole))
    cut: list[recorded.Row] = []
    lived(method, cut, 5, machine(cut))
    cut.pop()  # killed before its last run was known
    night = lived(method, cut, 12, machine(cut))
    assert cut == whole
    assert night.spent_s == 15.0 * len(whole)
    assert search_nights.described(night)["runs"] == len(whole)


def test_rows_alone_show_a_night_as_far_as_it_went():
    rows: list[recorded.Row] = []
    told = lived("climb", rows, 8, machine(rows))
    night = search_nights.RealNight("climb", ABOUT, rows, None)
    with contextlib.suppress(search_nights.Over):
        while not night.over:
            night.step()
    assert night.state is not None
    assert told.state is not None
    assert night.state.path == told.state.path


def test_rows_of_another_method_than_it_is_now_are_refused():
    rows: list[recorded.Row] = []
    lived("climb", rows, 4, machine(rows))
    rows[-1] = dataclasses.replace(rows[-1], constants={**rows[-1].constants, "DEPTH": 9})
    with pytest.raises(UsageError, match="begin another --table"):
        lived("climb", rows, 4, None)


def test_the_score_of_an_incumbent_leaves_out_the_run_that_chose_it():
    rows: list[recorded.Row] = []
    night = lived("climb", rows, 1, machine(rows))
    scores = [row.score for row in rows]
    assert night.ground.expected(REFERENCE)[0] == pytest.approx(sum(scores[1:]) / len(scores[1:]))


def test_a_real_night_stands_beside_the_replayed_ones_at_its_own_time():
    rows: list[recorded.Row] = []
    night = lived("climb", rows, 4, machine(rows))
    replayed = np.linspace(3, 2, 100)[None, :].repeat(5, axis=0)
    found = search.beside({"climb": night}, {("trees", "climb"): replayed, ("trees", "ours"): replayed - 1}, seconds_per_run=15.0)
    then = round(float(replayed[0, len(rows) - 1]), 4)
    assert found == {"climb": {"minutes": round(len(rows) / 4, 1), "score": search_nights.described(night)["score"], "trees": [then, then]}}
    shorter = search.beside({"climb": night}, {("trees", "climb"): replayed[:, :2]}, seconds_per_run=15.0)["climb"]
    assert (shorter["minutes"], shorter["trees"]) == (0.5, [round(float(replayed[0, 1]), 4)] * 2)
    assert night.state is not None
    assert shorter["score"] == round(night.state.path[1], 4)
    drawn = search.picture({"climb": replayed, "ours": replayed}, 15.0, "what it is", {"climb": night})
    assert drawn.count("<path") - search.picture({"climb": replayed, "ours": replayed}, 15.0, "what it is", {}).count("<path") == 1
