"""Noise of one run: Student's t against published values, calibration, pooling, a changed machine."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.judge import Noise, calibration_complete, incumbent_estimate, machine_changed, pool, repeats, student
from appliance.records import Run

numbers = st.floats(-100, 100).map(lambda x: round(x, 5))


@pytest.mark.parametrize(
    ("upper", "df", "value"), [(0.025, 1, 12.7062), (0.025, 3, 3.18245), (0.01, 7, 2.99795), (0.0005, 30, 3.64596), (0.05, 120, 1.65765)]
)
def test_students_quantiles_are_those_of_the_printed_tables(upper: float, df: int, value: float) -> None:
    assert student.quantile(upper, df) == pytest.approx(value, rel=2e-6)
    assert student.tail(value, df) == pytest.approx(upper, rel=2e-5)


@given(st.floats(1e-6, 1 - 1e-6), st.integers(1, 3000))
def test_quantile_and_tail_are_inverse(upper: float, df: int) -> None:
    assert student.tail(student.quantile(upper, df), df) == pytest.approx(upper, rel=1e-6)


def test_pooling_takes_the_spread_within_groups_and_not_between() -> None:
    assert pool([[1.0, 3.0], [101.0, 103.0, 105.0], [7.0]]) == Noise(sd=math.sqrt((2 + 8) / 3), df=3)
    assert pool([[1.0], []]) is None


@given(st.lists(st.lists(numbers, max_size=6), max_size=6), st.randoms())
def test_the_order_of_groups_and_of_runs_does_not_change_the_noise(groups: list[list[float]], rng: random.Random) -> None:
    shuffled = [rng.sample(group, len(group)) for group in rng.sample(groups, len(groups))]
    one, other = pool(groups), pool(shuffled)
    assert (one is None) == (other is None)
    if one and other:
        assert one.df == other.df
        assert one.sd == pytest.approx(other.sd, abs=1e-9)


def run(number: int, score: float | None, kind: str = "replicate", status: str = "ok", asset: str = "a") -> Run:
    return Run(
        night_id="n", experiment=0, run=number, kind=kind, status=status, metric="m", score=score, seed=number,  # type: ignore[arg-type]
        asset_sha256=asset, task_sha256="t", isolation="none", device="d", started_at="2026-01-01T00:00:00Z", wall_s=1.0,
    )  # fmt: skip


def test_a_row_that_is_there_twice_counts_once() -> None:
    rows = [run(1, 1.0), run(2, 2.0), run(3, 4.0, asset="b"), run(4, 6.0, asset="b")]
    assert repeats(rows) == repeats(rows + rows) == [[1.0, 2.0], [4.0, 6.0]]


def test_screening_and_invalid_and_failed_runs_never_enter_the_noise() -> None:
    rows = [run(1, 1.0), run(2, 2.0), run(3, 90.0, kind="screen"), run(4, 91.0, status="invalid"), run(5, None, status="failed")]
    assert repeats(rows) == [[1.0, 2.0]]


def test_a_new_calibration_opens_a_new_group_of_the_same_asset() -> None:
    rows = [run(1, 1.0), run(2, 2.0), run(7, 11.0), run(8, 12.0)]
    assert repeats(rows, calibrated_at=[7]) == [[1.0, 2.0], [11.0, 12.0]]


def test_calibration_takes_three_quiet_runs_and_eight_noisy_ones() -> None:
    quiet, noisy = [1.0, 1.0001, 0.9999], [1.0, 1.5, 0.5, 1.2, 0.7, 1.4, 0.8]
    assert not calibration_complete(quiet[:2], 0.01)
    assert calibration_complete(quiet, 0.01)
    assert not calibration_complete(noisy, 0.01)
    assert calibration_complete([*noisy, 1.1], 0.01)


def test_a_machine_that_moved_is_seen_and_noise_is_not() -> None:
    noise, before = Noise(sd=1.0, df=20), [10.0, 11.0, 9.0, 10.0]
    assert machine_changed(before, [16.0], noise)
    assert not machine_changed(before, [11.5], noise)
    assert not machine_changed(before, [16.0], noise, smallest_effect=8.0)
    assert not machine_changed(before, [], noise)


def test_the_incumbents_estimate_is_the_mean_of_fresh_runs_with_its_error() -> None:
    assert incumbent_estimate([1.0, 3.0, 2.0, 2.0], Noise(sd=2.0, df=5)) == (2.0, 1.0)
