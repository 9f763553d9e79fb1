"""The verdict on one candidate, reached one run at a time. A pure function: scores in, the next step out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from appliance.judge import student
from appliance.judge.noise import Noise
from appliance.judge.rule import RULE, Rule
from appliance.records import Metric, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What to do next: run once more, or write the verdict down."""

    needs: Literal["candidate", "incumbent"] | None = None
    """Whose fresh run is needed; the incumbent's takes the seed of the candidate's before it. None: the verdict stands."""
    verdict: Verdict | None = None
    basis: Literal["screen", "fresh"] = "screen"
    """What the numbers below are from: the one screening run against the reference, or the candidate's fresh runs alone."""
    pairs: int = 0
    """Complete fresh pairs behind it."""
    difference: float
    """Candidate minus incumbent, in the metric's unit."""
    interval_low: float
    interval_high: float
    """95 % interval of the difference."""
    p: float
    """One-sided, that an equal candidate looks this much better; of the last look alone (the rule's levels pay for the looks before)."""
    noise_sd: float
    noise_n: int
    """Degrees of freedom behind `noise_sd`."""


def next_step(
    metric: Metric,
    screen: float,
    reference: Sequence[float],
    candidate: Sequence[float],
    incumbent: Sequence[float],
    noise: Noise,
    rule: Rule = RULE,
    simpler: bool | None = None,
) -> Step:
    """Decide what the runs so far ask for.

    screen: score of the candidate's screening run. reference: the incumbent's fresh runs before this experiment, not empty (the newest
    `REFERENCE_RUNS` under the present calibration). candidate, incumbent: fresh runs of this experiment, interleaved, common seeds,
    candidate first: len(candidate) − len(incumbent) is 0 or 1. simpler: the candidate's asset is smaller than the incumbent's.
    Only valid runs; their order within an argument does not matter. Raises ValueError where the lengths cannot be.
    """
    if not reference:
        raise ValueError("the incumbent has no fresh run to compare with")
    pairs, ahead = len(incumbent), len(candidate) - len(incumbent)
    if ahead not in (0, 1):
        raise ValueError(f"{len(candidate)} candidate runs and {len(incumbent)} of the incumbent are no interleaved pairs")
    known = [*reference, *incumbent]
    if not candidate:
        look = _Look.of(metric, [screen], reference, noise, "screen", 0)
        open_ = look.lead > 0 and look.lead >= max(rule.screen * noise.sd, metric.smallest_effect / 2)
        return look.goes_on("candidate") if open_ or _could_be_simpler(look, metric, rule, simpler) else look.closed(rule)
    if ahead:
        look = _Look.of(metric, candidate, known, noise, "fresh", pairs)
        if pairs < rule.max_pairs and (look.lead >= rule.lead * noise.sd or _could_be_simpler(look, metric, rule, simpler)):
            return look.goes_on("incumbent")
        return look.closed(rule)
    look = _Look.of(metric, candidate, incumbent, noise, "fresh", pairs)
    if look.p <= rule.alpha[min(pairs, rule.max_pairs) - 1] and look.lead >= metric.smallest_effect:
        return look.closed(rule, Verdict.KEPT)
    if simpler and pairs >= 2 and _tail(look.lead + metric.smallest_effect, look.error, noise.df) <= rule.simpler_p:
        return look.closed(rule, Verdict.KEPT_SIMPLER)
    return look.closed(rule) if pairs >= rule.max_pairs else look.goes_on("candidate")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """The numbers of one comparison; `lead` is positive where the candidate is better."""

    sign: float
    lead: float
    error: float
    p: float
    noise: Noise
    basis: Literal["screen", "fresh"]
    pairs: int

    @classmethod
    def of(
        cls,
        metric: Metric,
        candidate: Sequence[float],
        incumbent: Sequence[float],
        noise: Noise,
        basis: Literal["screen", "fresh"],
        pairs: int,
    ) -> "_Look":
        sign = 1.0 if metric.direction == "lower" else -1.0
        lead = sign * (fmean(incumbent) - fmean(candidate))
        error = noise.sd * math.sqrt(1 / len(candidate) + 1 / len(incumbent))
        return cls(sign=sign, lead=lead, error=error, p=_tail(lead, error, noise.df), noise=noise, basis=basis, pairs=pairs)

    def goes_on(self, needs: Literal["candidate", "incumbent"]) -> Step:
        return self._step(needs, None)

    def closed(self, rule: Rule, verdict: Verdict | None = None) -> Step:
        """The given verdict; without one the candidate was not kept, and is worse or within noise."""
        worse = _tail(-self.lead, self.error, self.noise.df) <= rule.worse_p
        return self._step(None, verdict or (Verdict.WORSE if worse else Verdict.WITHIN_NOISE))

    def _step(self, needs: Literal["candidate", "incumbent"] | None, verdict: Verdict | None) -> Step:
        difference = -self.sign * self.lead
        reach = student.quantile(0.025, self.noise.df) * self.error
        return Step(
            needs=needs,
            verdict=verdict,
            basis=self.basis,
            pairs=self.pairs,
            difference=difference,
            interval_low=difference - reach,
            interval_high=difference + reach,
            p=self.p,
            noise_sd=self.noise.sd,
            noise_n=self.noise.df,
        )


def _tail(lead: float, error: float, df: int) -> float:
    """One-sided p of a lead; without any noise a lead is certain or there is none."""
    if error > 0:
        return student.tail(lead / error, df)
    return 0.0 if lead > 0 else 0.5 if lead == 0 else 1.0


def _could_be_simpler(look: _Look, metric: Metric, rule: Rule, simpler: bool | None) -> bool:
    """Whether a smaller candidate may still be shown not worse: an equal one would be by the last pair; this one is within the margin."""
    if not simpler or look.lead < -metric.smallest_effect:
        return False
    last = look.noise.sd * math.sqrt(2 / rule.max_pairs)
    return _tail(metric.smallest_effect, last, look.noise.df) <= rule.simpler_p


def incumbent_estimate(fresh: Sequence[float], noise: Noise) -> tuple[float, float]:
    """Mean of the incumbent's fresh runs and its standard error; the screening run must not be among them."""
    return fmean(fresh), noise.sd / math.sqrt(len(fresh))
