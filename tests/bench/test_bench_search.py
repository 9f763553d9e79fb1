"""The replay of recorded runs: even configurations, a table read as it was written, a surrogate, rivals, and what is made of them."""

import math
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import numpy as np
import policies
import pytest
import recorded
import search
import search_record
import space
from surrogate import PROFILE, Surrogate, estimator

from appliance import tasks
from appliance.errors import UsageError
from appliance.records import ConstantRange

FORMULA = Surrogate("cpu-quick")
RANGES = FORMULA.loaded.task.constants
REFERENCE = {name: value for name, value in tasks.read_constants(FORMULA.loaded.reference(FORMULA.preset)).items() if name in RANGES}
ABOUT = recorded.Machine(task="trainer", task_sha256="0" * 64, preset="cpu-quick", device="two cores", isolation="docker", profile=PROFILE)


def plan() -> search_record.Plan:
    return search_record.Plan(
        ranges=RANGES,
        reference=REFERENCE,
        estimate=estimator(FORMULA.loaded, FORMULA.preset, PROFILE),
        budget_s=10.0,
        memory_bytes=PROFILE.usable_memory_bytes,
        about=ABOUT,
    )


def rows(count: int) -> list[recorded.Row]:
    """What recording would give if the formula were the machine."""
    found: list[recorded.Row] = []
    rng, ahead = random.Random(1), plan()
    for index in range(count):
        why, constants = ahead.next(found)
        score = FORMULA.run({**REFERENCE, **constants}, rng)
        failed = constants["DEPTH"] == 12
        found.append(
            recorded.Row(
                index=index,
                why=why,
                seed=index,
                status="failed" if failed else "ok",
                reason="crash" if failed else "",
                score=None if failed else round(score, 5),
                steps=100.0,
                seconds=15.0,
                constants=constants,
            )
        )
    return found


@pytest.fixture(scope="module")
def table() -> list[recorded.Row]:
    return rows(90)


def test_a_place_in_a_range_and_the_constant_there_belong_together():
    for r in RANGES.values():
        for n in range(33):
            constant = space.value(n / 32, r)
            assert 0 <= space.position(constant, r) <= 1
            assert space.value(space.position(constant, r), r) == constant


def test_halton_points_fill_every_quarter_of_every_coordinate_alike():
    points = np.array([space.point(n, 22, seed=1) for n in range(256)])
    for column in points.T:
        counts, _ = np.histogram(column, bins=4, range=(0, 1))
        assert counts.min() >= 32
    assert len(np.unique(points, axis=0)) == 256


def test_recording_goes_on_as_it_would_have_without_an_interruption(table: list[recorded.Row]):
    assert plan().next(table[:40]) == (table[40].why, table[40].constants)
    assert [row.why for row in table[:9]] == list(search_record.FILL)


def test_a_filled_table_is_put_right_where_replayed_nights_end(table: list[recorded.Row], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search_record, "FILLED", 4)
    monkeypatch.setattr(search_record, "NIGHT_RUNS", 30)
    assert len(table) % len(search_record.SHARPEN) == search_record.SHARPEN.index("promised")
    why, constants = plan().next(table)
    assert why == "promised"
    assert (why, constants) == plan().next(table)
    assert list(constants) == list(RANGES)
    ground = recorded.Recorded(table, ABOUT)
    reached, reference = ground.expected(constants)[0], ground.expected(REFERENCE)[0]
    assert reached is not None
    assert reference is not None
    assert reached < reference


def test_nothing_is_recorded_that_could_not_make_a_step(table: list[recorded.Row]):
    for row in table:
        predicted = FORMULA.estimate([{**REFERENCE, **row.constants}])[0]
        assert not recorded.hopeless(predicted, 10.0, PROFILE.usable_memory_bytes)
        assert row.why != "fitting" or predicted["observables"]["steps"] >= search_record.ENOUGH_STEPS


def test_a_neighbour_stays_near_in_quantities():
    for n in range(20):
        near = search_record.neighbour(REFERENCE, space.point(n, len(RANGES), seed=2), RANGES)
        for name, r in RANGES.items():
            if r.type in ("int", "float"):
                assert abs(space.position(near[name], r) - space.position(REFERENCE[name], r)) < search_record.NEAR + 0.1


def test_a_table_is_read_as_it_was_written(tmp_path: Path, table: list[recorded.Row]):
    for row in table[:12]:
        recorded.append(tmp_path / "t", row, RANGES)
    assert recorded.read(tmp_path / "t", RANGES) == table[:12]


def test_a_table_of_other_constants_or_another_task_is_refused(tmp_path: Path, table: list[recorded.Row]):
    recorded.append(tmp_path / "t", table[0], RANGES)
    with pytest.raises(UsageError, match="other columns"):
        recorded.read(tmp_path / "t", {"DEPTH": ConstantRange(type="int", low=1, high=2)})
    search_record.claim(tmp_path / "u", ABOUT)
    search_record.claim(tmp_path / "u", ABOUT)
    with pytest.raises(UsageError, match="another task_sha256"):
        search_record.claim(tmp_path / "u", msgspec.structs.replace(ABOUT, task_sha256="1" * 64))


def test_without_a_table_the_message_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(UsageError, match="bench-search-record"):
        search.landscape(tmp_path / "none", "process")


@pytest.mark.parametrize("model", list(recorded.MODELS))
def test_a_surrogate_finds_a_smooth_surface_again_and_knows_its_error(model: str):
    rng = np.random.default_rng(3)
    points, fresh = rng.random((120, 4)), rng.random((200, 4))
    measured = lambda x: 0.3 * (np.sin(3 * x[:, 0]) + x[:, 1] ** 2 - x[:, 2]) + 0.003 * rng.normal(size=len(x))  # noqa: E731
    values, true = measured(points), measured(fresh)
    fitted = recorded.MODELS[model](points, values)
    low = true < np.median(true)
    off = np.sqrt(np.square(np.exp(fitted.predict(fresh)) - np.exp(true))[low].mean())
    assert off < 0.1
    assert recorded.cross_validated_error(fitted, points, values) == pytest.approx(off, rel=0.6)


def test_a_short_table_is_no_surrogate(table: list[recorded.Row]):
    with pytest.raises(UsageError, match="record more"):
        recorded.Recorded(table[:20], ABOUT)


def test_the_surrogate_gives_back_noise_failures_and_scores(table: list[recorded.Row]):
    ground = recorded.Recorded(table, ABOUT)
    assert 0.005 < ground.noise_sd < 0.05
    failed = next(row for row in table if row.score is None)
    assert ground.expected(failed.constants)[0] is None
    assert ground.expected({**REFERENCE, "DEPTH": 12, "WIDTH": 1024, "BATCH_TOKENS": 524288})[0] is None
    reference = ground.expected(REFERENCE)[0]
    assert reference == pytest.approx(FORMULA.expected(tasks.read_constants(FORMULA.loaded.reference(FORMULA.preset)))[0], rel=0.1)


@pytest.mark.parametrize("model", list(recorded.MODELS))
def test_no_answer_is_better_than_the_best_recorded_by_more_than_the_error(model: str, table: list[recorded.Row]):
    ground = recorded.Recorded(table, ABOUT, model)
    best = min(row.score for row in table if row.score is not None)
    for seed in range(2):
        state = policies.night(ground, policies.ours(seed), seed, 60)
        assert state.path[-1] > best - 2 * ground.error


@pytest.mark.parametrize("method", list(policies.POLICIES))
def test_every_method_lives_a_night_and_none_confirms_anything_worse(method: str, table: list[recorded.Row]):
    ground = recorded.Recorded(table, ABOUT)
    state = policies.night(ground, policies.POLICIES[method](1), 1, 40)
    assert len(state.runs) >= 40
    assert state.path[-1] <= state.path[0] + 3 * ground.noise_sd
    assert all(e.verdict for e in state.experiments)


def test_the_climber_moves_one_constant_at_a_time(table: list[recorded.Row]):
    state = policies.night(recorded.Recorded(table, ABOUT), policies.climb(2), 2, 40)
    for e in state.experiments:
        parent = max((k.experiment for k in state.experiments if k.experiment < e.experiment and k.verdict == "kept"), default=0)
        old, new = state.configurations[parent], state.configurations[e.experiment]
        assert sum(old[name] != new[name] for name in old) == 1


def test_the_time_ratio_is_where_ours_meets_the_best_other_end():
    ours = np.array([[5.0, 3.0, 2.0, 1.0]] * 3)
    other, worse = np.array([[5.0, 5.0, 4.0, 3.0]] * 3), np.full((3, 4), 5.0)
    assert search.time_ratio(ours, [other, worse]) == 0.5
    assert search.interval(ours, [other, worse], 50) == (0.5, 0.5)
    assert search.time_ratio(worse, [ours]) == math.inf


def test_the_picture_holds_every_method_and_is_well_formed():
    paths = {method: np.linspace(3, 2 + n / 9, 30)[None, :].repeat(4, axis=0) for n, method in enumerate(policies.POLICIES)}
    drawn = search.picture(paths, 15.0, "what it is", {})
    texts = [node.text for node in ElementTree.fromstring(drawn).iter() if node.tag.endswith("text")]
    assert set(search.LABELS.values()) <= set(texts)


def test_nights_that_were_replayed_are_not_replayed_again(tmp_path: Path):
    kept, kind = tmp_path / "nights.jsonl", ("formula", "climb")
    kept.write_text('{"model": "formula", "method": "climb", "seed": 0, "path": [3.0, 2.0]}\n')
    assert search.replay(None, [kind], 1, 2, 1, kept)[kind].tolist() == [[3.0, 2.0]]
    assert search.replay(None, [kind], 2, 2, 1, kept)[kind].shape == (2, 2)
    assert len(kept.read_text().splitlines()) == 2
    with pytest.raises(UsageError, match="not of 3 runs"):
        search.replay(None, [kind], 2, 3, 1, kept)
