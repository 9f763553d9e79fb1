"""What a confirmation says in advance of somebody else's: where the mean of fresh pairs will lie, if nothing but the seeds is other.

The interval of a confirmation is about the true difference. The mean of m fresh pairs scatters around that truth by itself, so holding it
against that interval would call half of all honest repetitions with few pairs failures. With n declared differences of spread s,

    fresh mean − declared mean  ~  t(n−1) · s · √(1/n + 1/m),

which needs nothing of the fresh runs and so can be said before the first of them. The documents are the same on both sides: they do
not enter. A difference below the smallest effect worth having is none, so the interval is never narrower than that on either side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from appliance.judge import student
from appliance.records import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Where the mean difference of fresh pairs lies with 95 % probability, in the metric's unit."""

    low: float
    high: float

    def outside(self, difference: float) -> float:
        """How far a mean lies beyond the nearer end, signed; 0 inside."""
        return difference - self.high if difference > self.high else min(0.0, difference - self.low)


def predict(differences: Sequence[float], fresh: int, metric: Metric) -> Prediction:
    """The prediction for the mean of `fresh` pairs from the declared pairs' differences (winner minus baseline).

    Raises ValueError for fewer than two declared pairs or no fresh one.
    """
    n = len(differences)
    if n < 2 or fresh < 1:
        raise ValueError(f"{n} declared pairs predict nothing of {fresh} fresh ones")
    reach = student.quantile(0.025, n - 1) * stdev(differences) * math.sqrt(1 / n + 1 / fresh)
    reach = max(reach, metric.smallest_effect)
    return Prediction(low=fmean(differences) - reach, high=fmean(differences) + reach)


def gains(difference: float, metric: Metric) -> bool:
    """Whether a difference (winner minus baseline) is on the better side of none at all."""
    return difference < 0 if metric.direction == "lower" else difference > 0
