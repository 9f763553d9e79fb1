"""Which of the winner's changes carry its gain: each was removed in turn, and the winner without it was run with fresh seeds."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from appliance.judge import student
from appliance.judge.noise import Noise, pool
from appliance.records import Metric
from appliance.records.base import Count, Record

Reading = Literal["carries gain", "came along", "not settled", "better without it"]


class Part(Record, frozen=True, kw_only=True):
    """What one kept change is worth inside the winner."""

    change: str
    runs: Count
    loss: float
    """How much worse the winner gets without it, in the metric's unit; positive: it helps."""
    interval_low: float
    interval_high: float
    """95 % interval of `loss`."""
    share: float | None = None
    """loss / gain of the winner over the baseline; shares need not add up to 1, as changes interact."""
    carries: bool
    """The whole interval is above 0."""
    reading: Reading
    """What the interval says, for people. `came along`: it holds no loss that matters; `not settled`: it holds both that and none."""


def attribute(
    metric: Metric, winner: Sequence[float], without: Mapping[str, Sequence[float]], noise: Noise | None = None, gain: float | None = None
) -> list[Part]:
    """Largest loss first.

    winner: scores of the winner's fresh runs. without: removed change → scores of the winner without it; those without a run are left
    out. noise: of the night; None pools what is given. gain: by how much the winner beats the baseline, positive. Intervals are
    Bonferroni-corrected for the number of changes, so that all of them hold together at 95 %. Raises ValueError without any noise.
    """
    parts = {change: scores for change, scores in without.items() if scores}
    noise = noise or pool([winner, *parts.values()])
    if noise is None or not winner:
        raise ValueError("attribution needs runs of the winner and an estimate of the noise")
    sign = 1.0 if metric.direction == "lower" else -1.0
    found = []
    for change, scores in parts.items():
        loss = sign * (fmean(scores) - fmean(winner))
        reach = student.quantile(0.025 / len(parts), noise.df) * noise.sd * math.sqrt(1 / len(scores) + 1 / len(winner))
        found.append(
            Part(
                change=change,
                runs=len(scores),
                loss=loss,
                interval_low=loss - reach,
                interval_high=loss + reach,
                share=loss / gain if gain else None,
                carries=loss - reach > 0,
                reading=_reading(loss - reach, loss + reach, metric.smallest_effect),
            )
        )
    return sorted(found, key=lambda part: (-part.loss, part.change))


def _reading(low: float, high: float, smallest_effect: float) -> Reading:
    if low > 0:
        return "carries gain"
    if high < 0:
        return "better without it"
    return "came along" if high <= smallest_effect else "not settled"
