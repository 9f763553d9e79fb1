"""The verdict on one candidate: what it asks for, what it says, and what must not matter."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.judge import RULE, Noise, Step, next_step
from appliance.records import Metric, Verdict

LOWER = Metric(name="bpb", unit="bits per byte", direction="lower", version="1", smallest_effect=0.001)
HIGHER = Metric(name="accuracy", unit="share", direction="higher", version="1", smallest_effect=0.001)
NOISE = Noise(sd=1.0, df=20)

scores = st.floats(-4, 4).map(lambda x: round(x, 6))


@st.composite
def situations(draw: st.DrawFn) -> tuple[float, list[float], list[float], list[float], Noise, bool]:
    pairs = draw(st.integers(0, RULE.max_pairs))
    ahead = draw(st.integers(0, 1 if pairs < RULE.max_pairs else 0))
    return (
        draw(scores),
        draw(st.lists(scores, min_size=1, max_size=8)),
        draw(st.lists(scores, min_size=pairs + ahead, max_size=pairs + ahead)),
        draw(st.lists(scores, min_size=pairs, max_size=pairs)),
        Noise(sd=draw(st.floats(0.2, 3).map(lambda x: round(x, 4))), df=draw(st.integers(1, 200))),
        draw(st.booleans()),
    )


def says(step: Step) -> tuple[str | None, Verdict | None, str, int]:
    return step.needs, step.verdict, step.basis, step.pairs


def test_a_screening_run_that_is_no_better_ends_the_experiment() -> None:
    step = next_step(LOWER, 10.2, [10.0, 10.1, 9.9], [], [], NOISE)
    assert says(step) == (None, Verdict.WITHIN_NOISE, "screen", 0)
    assert step.difference == pytest.approx(0.2)
    assert step.noise_n == 20


def test_a_screening_run_far_worse_is_called_worse() -> None:
    assert next_step(LOWER, 14.0, [10.0, 10.1, 9.9], [], [], NOISE).verdict is Verdict.WORSE


def test_a_promising_screening_run_asks_for_a_fresh_pair_and_never_keeps() -> None:
    assert says(next_step(LOWER, -100.0, [10.0, 10.1, 9.9], [], [], NOISE))[:2] == ("candidate", None)


def test_a_fresh_run_that_disappoints_ends_it_before_the_incumbent_runs() -> None:
    step = next_step(LOWER, 7.0, [10.0, 10.1, 9.9], [10.3], [], NOISE)
    assert says(step) == (None, Verdict.WITHIN_NOISE, "fresh", 0)


def test_a_fresh_run_that_holds_asks_for_the_incumbent_with_the_same_seed() -> None:
    assert next_step(LOWER, 7.0, [10.0, 10.1, 9.9], [7.0], [], NOISE).needs == "incumbent"


def test_a_large_effect_is_kept_on_fresh_pairs_alone() -> None:
    step = next_step(LOWER, 4.0, [10.0, 10.1, 9.9], [4.0, 4.2], [10.0, 10.2], NOISE)
    assert says(step) == (None, Verdict.KEPT, "fresh", 2)
    assert step.difference == pytest.approx(-6.0)
    assert step.interval_high < 0
    assert step.p <= RULE.alpha[1]


def test_an_effect_below_the_smallest_worth_having_is_not_kept_however_certain() -> None:
    metric = Metric(name="m", unit="s", direction="lower", version="1", smallest_effect=1.0)
    step = next_step(metric, 9.4, [10.0] * 3, [9.4] * RULE.max_pairs, [10.0] * RULE.max_pairs, Noise(sd=0.001, df=50))
    assert step.verdict is Verdict.WITHIN_NOISE


def test_a_metric_without_noise_is_judged_by_the_smallest_effect_alone() -> None:
    quiet = Noise(sd=0.0, df=2)
    assert next_step(LOWER, 5.0, [10.0] * 3, [], [], quiet).needs == "candidate"
    assert next_step(LOWER, 5.0, [10.0] * 3, [5.0, 5.0], [10.0, 10.0], quiet).verdict is Verdict.KEPT
    assert next_step(LOWER, 10.0, [10.0] * 3, [], [], quiet).verdict is Verdict.WITHIN_NOISE
    assert next_step(LOWER, 10.1, [10.0] * 3, [], [], quiet).verdict is Verdict.WORSE


def test_a_smaller_asset_that_is_shown_not_worse_is_kept_as_simpler() -> None:
    metric = Metric(name="m", unit="s", direction="lower", version="1", smallest_effect=3.0)
    assert next_step(metric, 10.1, [10.0] * 4, [], [], NOISE, simpler=True).needs == "candidate"
    assert next_step(metric, 10.1, [10.0] * 4, [10.0], [], NOISE, simpler=True).needs == "incumbent"
    assert next_step(metric, 10.1, [10.0] * 4, [10.0] * 4, [10.0] * 4, NOISE, simpler=True).verdict is Verdict.KEPT_SIMPLER
    assert next_step(metric, 10.1, [10.0] * 4, [], [], NOISE, simpler=False).verdict is Verdict.WITHIN_NOISE


def test_a_smaller_asset_gets_no_runs_where_the_noise_could_never_show_it() -> None:
    assert next_step(LOWER, 10.1, [10.0] * 4, [], [], NOISE, simpler=True).verdict is Verdict.WITHIN_NOISE


def test_every_experiment_ends_within_the_cap_of_pairs() -> None:
    rng = random.Random(4)
    for _ in range(300):
        candidate: list[float] = []
        incumbent: list[float] = []
        reference = [rng.gauss(0, 1) for _ in range(5)]
        for _ in range(2 * RULE.max_pairs + 1):
            step = next_step(LOWER, -3.0, reference, candidate, incumbent, NOISE, simpler=rng.random() < 0.5)
            if step.needs is None:
                break
            (candidate if step.needs == "candidate" else incumbent).append(rng.gauss(-1 if step.needs == "candidate" else 0, 1))
        assert step.verdict is not None
        assert len(incumbent) <= RULE.max_pairs


@pytest.mark.parametrize(("candidate", "incumbent"), [([], [1.0]), ([1.0, 2.0, 3.0], [1.0])])
def test_runs_that_are_no_interleaved_pairs_are_refused(candidate: list[float], incumbent: list[float]) -> None:
    with pytest.raises(ValueError, match="interleaved"):
        next_step(LOWER, 0.0, [1.0], candidate, incumbent, NOISE)


def test_an_incumbent_without_a_fresh_run_is_refused() -> None:
    with pytest.raises(ValueError, match="no fresh run"):
        next_step(LOWER, 0.0, [], [], [], NOISE)


@given(situations(), st.randoms())
def test_the_order_of_seeds_changes_nothing(
    situation: tuple[float, list[float], list[float], list[float], Noise, bool], rng: random.Random
) -> None:
    screen, reference, candidate, incumbent, noise, simpler = situation

    def shuffled(values: Sequence[float]) -> list[float]:
        return rng.sample(list(values), len(values))

    straight = next_step(LOWER, screen, reference, candidate, incumbent, noise, simpler=simpler)
    mixed = next_step(LOWER, screen, shuffled(reference), shuffled(candidate), shuffled(incumbent), noise, simpler=simpler)
    assert straight == mixed


@given(situations(), st.sampled_from([0.25, 8.0, 1024.0]), st.sampled_from([0.0, -64.0, 512.0]))
@settings(deadline=None)
def test_the_unit_of_the_metric_changes_nothing(
    situation: tuple[float, list[float], list[float], list[float], Noise, bool], scale: float, shift: float
) -> None:
    screen, reference, candidate, incumbent, noise, simpler = situation

    def other(values: Sequence[float]) -> list[float]:
        return [value * scale + shift for value in values]

    metric = Metric(name="m", unit="other", direction="lower", version="1", smallest_effect=LOWER.smallest_effect * scale)
    here = next_step(LOWER, screen, reference, candidate, incumbent, noise, simpler=simpler)
    assume(not on_a_threshold(here, noise))
    there = next_step(
        metric,
        *(screen * scale + shift, other(reference), other(candidate), other(incumbent)),
        Noise(sd=noise.sd * scale, df=noise.df),
        simpler=simpler,
    )
    assert says(here) == says(there)
    assert there.difference == pytest.approx(here.difference * scale, abs=1e-9 * scale)
    assert there.p == pytest.approx(here.p, abs=1e-9)


@given(situations())
def test_a_mirrored_metric_gives_the_mirrored_verdict(situation: tuple[float, list[float], list[float], list[float], Noise, bool]) -> None:
    screen, reference, candidate, incumbent, noise, simpler = situation
    lower = next_step(LOWER, screen, reference, candidate, incumbent, noise, simpler=simpler)
    higher = next_step(HIGHER, -screen, [-x for x in reference], [-x for x in candidate], [-x for x in incumbent], noise, simpler=simpler)
    assert says(lower) == says(higher)
    assert (lower.difference, lower.p) == (-higher.difference, higher.p)
    assert (lower.interval_low, lower.interval_high) == (-higher.interval_high, -higher.interval_low)


@given(situations(), st.floats(0.01, 3))
def test_a_better_candidate_is_never_judged_worse(
    situation: tuple[float, list[float], list[float], list[float], Noise, bool], by: float
) -> None:
    screen, reference, candidate, incumbent, noise, _ = situation
    rank = {Verdict.WORSE: 0, Verdict.WITHIN_NOISE: 1, None: 2, Verdict.KEPT: 3}
    one = next_step(LOWER, screen, reference, candidate, incumbent, noise)
    better = next_step(LOWER, screen - by, reference, [x - by for x in candidate], incumbent, noise)
    assert rank[better.verdict] >= rank[one.verdict]


def on_a_threshold(step: Step, noise: Noise) -> bool:
    """Within rounding of a limit: there another unit may round to the other side."""
    lead = -step.difference
    limits = [
        0.0,
        RULE.screen * noise.sd,
        RULE.lead * noise.sd,
        LOWER.smallest_effect,
        -LOWER.smallest_effect,
    ]
    limits += [LOWER.smallest_effect / 2]
    levels = [*RULE.alpha, RULE.worse_p, 1 - RULE.worse_p]
    return any(math.isclose(lead, limit, abs_tol=1e-6) for limit in limits) or any(math.isclose(step.p, p, abs_tol=1e-6) for p in levels)
