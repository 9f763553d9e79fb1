"""The bench simulates many nights at once with a vectorised twin of `next_step`; here both live through the same nights, run by run."""

import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.judge import REBASELINE_EVERY, REFERENCE_RUNS, RULE, Noise, next_step, pool
from appliance.records import Metric, Verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
from judge_simulation import KNOWN_DF, Nights, critical, decide

METRIC = Metric(name="m", unit="sd", direction="lower", version="1", smallest_effect=1e-9)
EXPERIMENTS = 40
EFFECTS = (0.0, 0.0, 1.5, 0.0, 3.0, -1.0)


def streams(seed: int) -> tuple[np.random.Generator, np.random.Generator]:
    return np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])


def by_next_step(seed: int, calibration: int, known: bool) -> list[tuple[bool, int]]:
    """A night as the workflow runs it: lists of scores, the pure function, the pooled noise."""
    rng, screens = streams(seed)
    closed: list[list[float]] = []
    incumbent = [float(rng.standard_normal(1)[0]) for _ in range(calibration)]
    lives = []
    for experiment in range(1, EXPERIMENTS + 1):
        effect = EFFECTS[experiment % len(EFFECTS)]
        screen = float(screens.standard_normal(1)[0]) - effect
        reference, candidate, beside = incumbent[-REFERENCE_RUNS:], list[float](), list[float]()
        while True:
            noise = Noise(sd=1.0, df=KNOWN_DF) if known else pool([*closed, incumbent + beside, candidate])
            assert noise is not None
            step = next_step(METRIC, screen, reference, candidate, beside, noise)
            if step.needs is None:
                break
            score = float(rng.standard_normal(1)[0])
            if step.needs == "candidate":
                candidate.append(score - effect)
            else:
                beside.append(score)
        kept = step.verdict is Verdict.KEPT
        lives.append((kept, len(candidate) + len(beside)))
        incumbent += beside
        if kept:
            closed.append(incumbent)
            incumbent = candidate
        else:
            closed.append(candidate)
        if experiment % REBASELINE_EVERY == 0:
            incumbent.append(float(rng.standard_normal(1)[0]))
    return lives


def by_twin(seed: int, calibration: int, known: bool) -> list[tuple[bool, int]]:
    rng, screens = streams(seed)
    nights = Nights(count=1, draw=lambda generator, n: generator.standard_normal(n), rng=rng, screens=screens, known=known)
    nights.calibrate(np.arange(1), calibration)
    lives = []
    for experiment in range(1, EXPERIMENTS + 1):
        out = decide(nights, RULE, EFFECTS[experiment % len(EFFECTS)])
        lives.append((bool(out.kept[0]), int(out.extra[0])))
        if experiment % REBASELINE_EVERY == 0:
            nights.run_incumbent(np.arange(1))
    return lives


@pytest.mark.parametrize(("calibration", "known"), [(3, False), (6, False), (8, True)])
def test_the_vectorised_twin_decides_every_candidate_as_next_step_does(calibration: int, known: bool) -> None:
    lives = [(by_next_step(seed, calibration, known), by_twin(seed, calibration, known)) for seed in range(25)]
    assert all(one == other for one, other in lives)
    kept = sum(is_kept for one, _ in lives for is_kept, _ in one)
    assert kept > 20, "the comparison must see both verdicts"


def test_on_null_nights_the_rule_keeps_its_promises() -> None:
    """A small copy of `make bench-judge`: 60,000 null candidates; the limits are the promised ones with room for the luck of so few."""
    rng, screens = streams(99)
    nights = Nights(count=600, draw=lambda generator, n: generator.standard_normal(n), rng=rng, screens=screens)
    nights.calibrate(np.arange(600), 6)
    kept = extra = found = 0
    for experiment in range(1, 101):
        if experiment % 20 == 0:
            found += int(decide(nights.copy(), RULE, 3.0).kept.sum())
        out = decide(nights, RULE)
        kept, extra = kept + int(out.kept.sum()), extra + int(out.extra.sum())
    assert kept / 600 < 0.2 + 3 * (0.2 / 600) ** 0.5
    assert extra / 600 < 42
    assert found / (5 * 600) > 0.9
    assert nights.bias().mean() < 0.3


def test_interpolated_quantiles_are_close_to_exact_ones() -> None:
    from appliance.judge import student

    table = critical(0.004, False)
    assert all(table[df] == pytest.approx(student.quantile(0.004, df), abs=1e-4) for df in (1, 5, 59, 61, 77, 200, 811, 1499))
