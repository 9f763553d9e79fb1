"""Confirmation, the reserve for it, attribution and belief."""

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.judge import (
    Noise,
    attribute,
    estimate,
    expected_false_keeps,
    expected_false_keeps_if_lower,
    plan_confirmation,
    shrinkage,
    status,
)
from appliance.records import Metric

LOWER = Metric(name="bpb", unit="bits per byte", direction="lower", version="1", smallest_effect=0.001)
HIGHER = Metric(name="acc", unit="share", direction="higher", version="1", smallest_effect=0.001)


def split(rng: random.Random, pairs: int, documents: int, effect: float, seed_sd: float = 0.02) -> tuple[list, list, list, list]:
    """Scores and documents of baseline and winner with documents of different difficulty, and seeds that matter."""
    hard = [rng.gauss(2.0, 0.3) for _ in range(documents)]
    gain = [effect * rng.gauss(1.0, 0.5) for _ in range(documents)]
    weights = [rng.randrange(500, 2000) for _ in range(documents)]
    runs: tuple[list, list] = ([], [])
    for winner in (0, 1):
        for _ in range(pairs):
            luck = rng.gauss(0, seed_sd)
            runs[winner].append([((h + luck + winner * g) * w, w) for h, g, w in zip(hard, gain, weights, strict=True)])
    scores = [[sum(v for v, _ in run) / sum(w for _, w in run) for run in side] for side in runs]
    return scores[0], scores[1], runs[0], runs[1]


def test_a_clear_gain_holds_and_its_relative_form_agrees() -> None:
    found = estimate("test", LOWER, *split(random.Random(1), 4, 60, -0.4))
    assert found.holds
    assert found.interval_low < found.difference < found.interval_high < 0
    assert found.relative is not None
    assert found.relative_low is not None
    assert found.relative_high is not None
    assert found.relative == pytest.approx(found.winner_mean / found.baseline_mean - 1)
    assert found.relative_low < found.relative < found.relative_high < 0
    assert "4 seed pairs" in found.method
    assert "60 documents" in found.method


def test_documents_make_the_interval_wider_than_seeds_alone() -> None:
    baseline, winner, baseline_documents, winner_documents = split(random.Random(2), 4, 20, -0.4, seed_sd=0.001)
    alone = estimate("test", LOWER, baseline, winner)
    both = estimate("test", LOWER, baseline, winner, baseline_documents, winner_documents)
    assert both.interval_high - both.interval_low > 2 * (alone.interval_high - alone.interval_low)
    assert "alone" in alone.method


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(3)
    hits, trials = 0, 60
    for _ in range(trials):
        found = estimate("test", LOWER, *split(rng, 4, 30, -0.05))
        hits += found.interval_low <= -0.05 <= found.interval_high
    assert hits / trials > 0.9


@given(st.lists(st.tuples(st.floats(1, 3), st.floats(1, 3)), min_size=2, max_size=8), st.randoms())
def test_order_of_pairs_and_direction_change_nothing_else(pairs: list[tuple[float, float]], rng: random.Random) -> None:
    shuffled = rng.sample(pairs, len(pairs))
    one = estimate("test", LOWER, [b for b, _ in pairs], [w for _, w in pairs])
    other = estimate("test", LOWER, [b for b, _ in shuffled], [w for _, w in shuffled])
    assert other.interval_low == pytest.approx(one.interval_low, abs=1e-9)
    swapped = estimate("test", HIGHER, [w for _, w in pairs], [b for b, _ in pairs])
    assert swapped.interval_high == pytest.approx(-one.interval_low, abs=1e-9)
    assert swapped.holds == one.holds


@pytest.mark.parametrize(("baseline", "winner"), [([1.0, 2.0], [1.0]), ([1.0], [1.0])])
def test_what_is_no_pairs_is_refused(baseline: list[float], winner: list[float]) -> None:
    with pytest.raises(ValueError, match="pair"):
        estimate("test", LOWER, baseline, winner)


def test_a_baseline_of_zero_has_a_difference_and_no_relative_one() -> None:
    found = estimate("test", HIGHER, [0.0, 0.0, 0.0, 0.0], [3.0, 4.0, 3.0, 3.0])
    assert found.holds
    assert (found.relative, found.relative_low, found.relative_high) == (None, None, None)


def test_negative_scores_keep_the_sign_of_their_relative_difference() -> None:
    found = estimate("test", LOWER, [-1.0, -1.1], [-2.0, -2.1])
    assert found.relative is not None
    assert found.relative < 0


def test_two_vocabularies_that_cut_the_last_window_differently_were_scored_on_the_same_text() -> None:
    """A night of the trainer crashed here: its winner had another vocabulary, so its last document ended 40 bytes later."""
    baseline, winner = [(700.0, 400), (900.0, 500), (1500.0, 900)], [(500.0, 400), (700.0, 500), (1240.0, 940)]
    found = estimate("test", LOWER, [1.7, 1.72], [1.3, 1.31], [baseline, baseline], [winner, winner])
    assert found.difference < 0
    assert "3 documents" in found.method


def test_runs_scored_on_different_documents_are_refused() -> None:
    same, other = [(2.0, 10), (3.0, 20)], [(2.0, 10), (3.0, 40)]
    with pytest.raises(ValueError, match="different documents"):
        estimate("test", LOWER, [1.0, 1.1], [1.0, 1.2], [same, same], [same, other])


def test_confirmed_needs_pairs_on_both_corpora_and_a_gain_on_test() -> None:
    rng = random.Random(5)
    test = estimate("test", LOWER, *split(rng, 4, 20, -0.4))
    transfer = estimate("transfer_configuration", LOWER, *split(rng, 3, 20, 0.1))
    few = estimate("test", LOWER, *split(rng, 3, 20, -0.4))
    none = estimate("test", LOWER, *split(rng, 4, 20, 0.0))
    assert status([test, transfer]) == ("confirmed", None)
    assert status([test], transfer_wanted=False) == ("confirmed", None)
    assert status([test])[0] == "not_run"
    assert status([few, transfer])[0] == "not_run"
    assert status([none, transfer])[0] == "not_confirmed"
    assert status([], winner=False)[0] == "no_winner"


def test_shrinkage_is_the_share_of_the_claim_that_is_gone() -> None:
    assert shrinkage(-0.2, -0.15) == pytest.approx(0.25)
    assert shrinkage(None, -0.15) is None


def test_a_long_night_reserves_more_pairs_and_a_short_one_says_why_not() -> None:
    cheap = plan_confirmation(60, 80, 8 * 3600)
    assert cheap.fits
    assert (cheap.test_pairs, cheap.transfer_pairs) == (8, 6)
    least = plan_confirmation(60, 80, 1500)
    assert least.fits
    assert (least.test_pairs, least.transfer_pairs) == (4, 3)
    short = plan_confirmation(60, 80, 800)
    assert not short.fits
    assert short.test_pairs == 4
    assert short.seconds <= 0.35 * 800
    assert short.reason
    assert plan_confirmation(60, None, 1500).transfer_pairs == 0


@given(st.floats(0.1, 1e5), st.one_of(st.none(), st.floats(0.1, 1e5)), st.floats(1, 1e5))
def test_the_reserve_never_takes_more_than_its_share_of_the_night(test_pair: float, transfer_pair: float | None, night: float) -> None:
    plan = plan_confirmation(test_pair, transfer_pair, night)
    assert plan.seconds <= 0.35 * night * (1 + 1e-9)
    assert plan.fits == (plan.test_pairs >= 4 and (transfer_pair is None or plan.transfer_pairs >= 3))


def test_the_change_that_carries_the_gain_comes_first_and_a_passenger_does_not_carry() -> None:
    winner = [1.00, 1.01, 0.99]
    parts = attribute(LOWER, winner, {"passenger": [1.0, 1.01], "engine": [1.2, 1.21], "not run": []}, Noise(sd=0.01, df=30), gain=0.25)
    assert [part.change for part in parts] == ["engine", "passenger"]
    assert (parts[0].carries, parts[1].carries) == (True, False)
    assert parts[0].share == pytest.approx((fmean([1.2, 1.21]) - 1.0) / 0.25)


@pytest.mark.parametrize(
    ("loss", "sd", "reading"),
    [(0.03, 0.0004, "carries gain"), (0.0, 0.0004, "came along"), (0.003, 0.02, "not settled"), (-0.03, 0.0004, "better without it")],
)
def test_a_change_came_along_only_where_its_interval_holds_no_loss_that_matters(loss: float, sd: float, reading: str) -> None:
    (part,) = attribute(LOWER, [1.0] * 4, {"it": [1.0 + loss] * 4}, Noise(sd=sd, df=30))
    assert part.reading == reading
    assert part.carries == (reading == "carries gain")


def test_keep_if_lower_makes_four_false_keeps_in_a_hundred() -> None:
    assert expected_false_keeps_if_lower(100) == pytest.approx(4.197, abs=0.001)
    assert expected_false_keeps_if_lower(0) == 0


def test_the_judges_false_keeps_grow_with_experiments_and_stay_below_the_limit() -> None:
    assert expected_false_keeps(0) == 0
    assert 0 < expected_false_keeps(100) <= 0.2
