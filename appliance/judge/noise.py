"""How much one run scatters: calibration, pooling over the night, and whether the machine is still the one that was calibrated."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from appliance.judge import student
from appliance.records import Run

CALIBRATION_MIN = 3
CALIBRATION_MAX = 8
REBASELINE_EVERY = 16
"""Experiments between two visits of the baseline."""
REFERENCE_RUNS = 8
"""The newest fresh runs of the incumbent that a screening run is held against: more would average over a machine that drifts."""
CHANGED_P = 0.001
"""Two-sided; six visits a night give a false alarm in about one night of 170."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """Spread of the score of one run of an unchanged asset with fresh seeds on this machine."""

    sd: float
    """In the metric's unit."""
    df: int
    """Degrees of freedom behind it."""


def pool(groups: Iterable[Sequence[float]]) -> Noise | None:
    """Pool the spread within groups of fresh runs; None where no group holds two.

    Each group is one asset under one calibration, so neither what assets differ by nor what the machine changed by counts as noise.
    """
    squares, df = 0.0, 0
    for group in groups:
        if len(group) < 2:
            continue
        mean = fmean(group)
        squares += math.fsum((score - mean) ** 2 for score in group)
        df += len(group) - 1
    return Noise(sd=math.sqrt(squares / df), df=df) if df else None


def repeats(runs: Iterable[Run], calibrated_at: Sequence[int] = ()) -> list[list[float]]:
    """Scores of the night's fresh runs, grouped by asset and calibration, for `pool`.

    calibrated_at: run numbers at which the second and later calibrations began. Screening runs are left out (they were looked at
    before the repeat was asked for), and so is everything that is not ok. A row that is there twice counts once.
    """
    fresh = {run.run: run for run in runs if run.status == "ok" and run.kind in ("calibration", "replicate", "rebaseline")}
    groups: dict[tuple[str, int], list[float]] = {}
    for number, run in sorted(fresh.items()):
        if run.score is not None:
            groups.setdefault((run.asset_sha256, sum(number >= start for start in calibrated_at)), []).append(run.score)
    return list(groups.values())


def calibration_complete(scores: Sequence[float], smallest_effect: float) -> bool:
    """Whether enough runs of the unchanged asset are done: 3, unless the noise matters; 8 at most.

    It matters where the smallest effect worth having could be missed: calibration goes on until the 95 % interval of the baseline's
    mean is narrower than that effect on either side.
    """
    n = len(scores)
    if n < CALIBRATION_MIN:
        return False
    if n >= CALIBRATION_MAX:
        return True
    noise = pool([scores])
    assert noise is not None
    return student.quantile(0.025, noise.df) * noise.sd / math.sqrt(n) <= smallest_effect


def machine_changed(before: Sequence[float], now: Sequence[float], noise: Noise, smallest_effect: float = 0.0) -> bool:
    """Whether runs of one asset `now` differ from `before` by more than noise and by more than matters: calibrate anew."""
    if not before or not now:
        return False
    difference = abs(fmean(now) - fmean(before))
    if difference <= smallest_effect:
        return False
    error = noise.sd * math.sqrt(1 / len(before) + 1 / len(now))
    return error == 0 or 2 * student.tail(difference / error, noise.df) < CHANGED_P
