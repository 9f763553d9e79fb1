"""What declared pairs say of fresh ones, against simulated confirmations of the same truth."""

import random

import pytest

from appliance import judge
from appliance.records import Metric

METRIC = Metric(name="loss", unit="1", direction="lower", version="1", smallest_effect=1e-9)


def share_inside(declared: int, fresh: int, shift: float = 0.0, trials: int = 4000) -> float:
    """How often a fresh mean, `shift` standard deviations away, lies in the prediction."""
    rng = random.Random(f"{declared} {fresh} {shift}")
    inside = 0
    for _ in range(trials):
        prediction = judge.predict([rng.gauss(-1, 1) for _ in range(declared)], fresh, METRIC)
        mean = rng.gauss(-1 + shift, fresh**-0.5)
        inside += prediction.outside(mean) == 0
    return inside / trials


@pytest.mark.parametrize(("declared", "fresh"), [(2, 2), (4, 2), (4, 4), (4, 16), (12, 4)])
def test_an_honest_repetition_lies_inside_19_times_in_20(declared: int, fresh: int) -> None:
    assert share_inside(declared, fresh) == pytest.approx(0.95, abs=0.011)  # three standard errors of 4,000 trials


def test_the_confirmations_own_interval_would_refuse_honest_repetitions() -> None:
    rng = random.Random(3)
    refused = 0
    for _ in range(4000):
        pairs = [rng.gauss(-1, 1) for _ in range(12)]
        estimate = judge.estimate("test", METRIC, [0.0] * 12, pairs)
        mean = rng.gauss(-1, 2**-0.5)
        refused += not estimate.interval_low <= mean <= estimate.interval_high
    assert refused / 4000 > 0.3


def test_a_gain_that_is_gone_lies_outside() -> None:
    assert share_inside(4, 4, shift=8.0) < 0.05


def test_less_than_the_smallest_effect_is_no_difference() -> None:
    metric = Metric(name="loss", unit="1", direction="lower", version="1", smallest_effect=0.01)
    prediction = judge.predict([-0.2, -0.2, -0.2], 4, metric)
    assert (prediction.low, prediction.high) == (pytest.approx(-0.21), pytest.approx(-0.19))
    assert prediction.outside(-0.191) == 0
    assert prediction.outside(-0.18) == pytest.approx(0.01)
    assert prediction.outside(-0.25) == pytest.approx(-0.04)


@pytest.mark.parametrize(("declared", "fresh"), [(0, 4), (1, 4), (4, 0)])
def test_too_few_pairs_predict_nothing(declared: int, fresh: int) -> None:
    with pytest.raises(ValueError, match="predict nothing"):
        judge.predict([0.1] * declared, fresh, METRIC)
