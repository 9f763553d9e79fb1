"""Nights of null candidates, many at once: the vectorised twin of `appliance.judge.next_step`, for the bench and for tuning the rule.

All scores are in units of the sd of one undisturbed run; lower is better; every true mean is 0 unless an effect is given. Nights are the
rows of every array. That the twin decides as `next_step` does is proved in `tests/judge/test_judge_twin.py`.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from appliance.judge import REFERENCE_RUNS, Rule, student

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, int], Floats]
"""(generator, how many) → scores of undisturbed or disturbed null runs."""

KNOWN_DF = 10**7
_MAX_DF = 1500


@dataclass(kw_only=True)
class Drift:
    """How the machine moves while a night lasts, in sd."""

    per_run: float = 0.0
    """Steady."""
    walk: float = 0.0
    """sd of a random step at every run."""


@dataclass(kw_only=True)
class Nights:
    """State of `count` nights that all follow one policy."""

    count: int
    draw: Draw
    rng: np.random.Generator
    screens: np.random.Generator
    known: bool = False
    """The sd is known (1), not estimated."""
    drift: Drift = field(default_factory=Drift)
    spread: float = 1.0
    """sd of a candidate's run, where it is another than the incumbent's."""

    def __post_init__(self) -> None:
        n = self.count
        self.reference: Floats = np.zeros((n, REFERENCE_RUNS))
        """The newest fresh runs of the incumbent: a ring."""
        self.referenced: Ints = np.zeros(n, dtype=np.int64)
        """Fresh runs of the incumbent so far in this epoch."""
        self.squares: Floats = np.zeros(n)
        """Sum of squares within the closed groups."""
        self.df: Ints = np.zeros(n, dtype=np.int64)
        self.incumbent: Floats = np.zeros((n, 4))
        """Count, sum and sum of squares of the incumbent's fresh runs in this epoch, and the sum of where the machine was."""
        self.candidate: Floats = np.zeros((n, 4))
        """The same of the candidate's in this experiment."""
        self.offset: Floats = np.zeros(n)
        """Where the machine is."""

    def copy(self) -> "Nights":
        """The same nights, to see what would happen to another candidate; the generator goes on."""
        twin = copy(self)
        for name in ("reference", "referenced", "squares", "df", "incumbent", "candidate", "offset"):
            setattr(twin, name, getattr(self, name).copy())
        return twin

    def run(self, rows: Ints, effect: float = 0.0, spread: float = 1.0) -> Floats:
        """One run on each of `rows`; `effect` is how much better its asset truly is."""
        scores = spread * self.draw(self.rng, len(rows)) + self.offset[rows] - effect
        self.move(rows)
        return scores

    def screen(self, effect: float = 0.0) -> Floats:
        """A screening run on every night, from a stream of its own: so all policies meet the same candidates."""
        scores = self.spread * self.draw(self.screens, self.count) + self.offset - effect
        self.move(np.arange(self.count))
        return scores

    def move(self, rows: Ints) -> None:
        """Let the machine drift by one run."""
        if self.drift.per_run or self.drift.walk:
            self.offset[rows] += self.drift.per_run + self.drift.walk * self.rng.standard_normal(len(rows))

    def run_incumbent(self, rows: Ints) -> Floats:
        """A fresh run of the incumbent, remembered."""
        where = self.offset[rows]
        scores = self.run(rows)
        self.reference[rows, self.referenced[rows] % REFERENCE_RUNS] = scores
        self.referenced[rows] += 1
        self.incumbent[rows] += _moments(scores, where)
        return scores

    def run_candidate(self, rows: Ints, effect: float) -> Floats:
        """A fresh run of the candidate."""
        where = self.offset[rows]
        scores = self.run(rows, effect, self.spread)
        self.candidate[rows] += _moments(scores, where)
        return scores

    def calibrate(self, rows: Ints, runs: int) -> None:
        """A new epoch on `rows`."""
        self.squares[rows] += _within(self.incumbent[rows])
        self.df[rows] += _free(self.incumbent[rows])
        self.incumbent[rows] = 0
        self.referenced[rows] = 0
        for _ in range(runs):
            self.run_incumbent(rows)

    def settle(self, kept: Flags, fresh: Floats) -> None:
        """The experiment is over: where it was kept the candidate leads, and all fresh runs stay in the pooled noise.

        fresh: [nights, up to REFERENCE_RUNS] the candidate's fresh scores, in order.
        """
        closed = np.where(kept[:, None], self.incumbent, self.candidate)
        self.squares += _within(closed)
        self.df += _free(closed)
        self.incumbent[kept] = self.candidate[kept]
        self.reference[kept, : fresh.shape[1]] = np.nan_to_num(fresh[kept])
        self.referenced[kept] = self.candidate[kept, 0].astype(np.int64)
        self.candidate[:] = 0

    def bias(self) -> Floats:
        """By how much the incumbent's estimate, the mean of its fresh runs, is too good; every night's candidates were null."""
        bias: Floats = (self.incumbent[:, 3] - self.incumbent[:, 1]) / self.incumbent[:, 0]
        return bias

    def reference_mean(self) -> tuple[Floats, Floats]:
        """Mean and number of the reference runs of every night."""
        n = np.minimum(self.referenced, REFERENCE_RUNS)
        mask = np.arange(REFERENCE_RUNS) < n[:, None]
        return (self.reference * mask).sum(axis=1) / n, n.astype(np.float64)

    def noise(self, rows: Ints) -> tuple[Floats, Ints]:
        """Pooled sd and its degrees of freedom, as `appliance.judge.pool` over the night so far."""
        if self.known:
            return np.ones(len(rows)), np.full(len(rows), _MAX_DF)
        squares = self.squares[rows] + _within(self.incumbent[rows]) + _within(self.candidate[rows])
        df = self.df[rows] + _free(self.incumbent[rows]) + _free(self.candidate[rows])
        return np.sqrt(squares / df), np.minimum(df, _MAX_DF)


def _moments(scores: Floats, where: Floats) -> Floats:
    return np.stack([np.ones_like(scores), scores, scores**2, where], axis=1)


def _within(group: Floats) -> Floats:
    squares: Floats = np.maximum(group[:, 2] - group[:, 1] ** 2 / np.maximum(group[:, 0], 1), 0)
    return squares


def _free(group: Floats) -> Ints:
    return np.maximum(group[:, 0] - 1, 0).astype(np.int64)


@lru_cache(maxsize=256)
def critical(upper: float, known: bool) -> Floats:
    """Student's quantile for every df up to `_MAX_DF`, which stands for more; infinite where `upper` is 0.

    Between 60 and the last it is interpolated in 1/df (error below 1e-4).
    """
    if upper <= 0:
        return np.full(_MAX_DF + 1, np.inf)
    if known:
        return np.full(_MAX_DF + 1, student.quantile(upper, KNOWN_DF))
    df = np.unique(np.r_[1:60, np.geomspace(60, _MAX_DF, 40).astype(np.int64)])
    values = np.array([student.quantile(upper, int(one)) for one in df])
    table: Floats = np.r_[np.inf, np.interp(1 / np.arange(1, _MAX_DF + 1), (1 / df)[::-1], values[::-1])]
    return table


@dataclass(kw_only=True)
class Outcome:
    """What a policy decided about one candidate on every night."""

    kept: Flags
    extra: Ints
    """Fresh runs, the candidate's and the incumbent's."""
    lead: Floats
    """Measured improvement, of those whose last look was at pairs."""
    reach: Floats
    """Half of its 95 % interval."""
    fresh: Floats
    """[nights, pairs] the candidate's fresh scores, in order; NaN where there is none."""


def decide(nights: Nights, rule: Rule, effect: float = 0.0) -> Outcome:
    """The sequential rule on one candidate of every night, `effect` better than the incumbent."""
    n = nights.count
    out = Outcome(
        kept=np.zeros(n, dtype=bool),
        extra=np.zeros(n, dtype=np.int64),
        lead=np.zeros(n),
        reach=np.zeros(n),
        fresh=np.full((n, rule.max_pairs), np.nan),
    )
    rows = np.arange(n)
    known, known_n = nights.reference_mean()
    known_sum = known * known_n
    beside_sum = np.zeros(n)
    sd, _ = nights.noise(rows)
    lead = known - nights.screen(effect)
    rows = rows[(lead > 0) & (lead >= rule.screen * sd)]
    for k in range(rule.max_pairs):
        if not len(rows):
            break
        out.fresh[rows, k] = nights.run_candidate(rows, effect)
        out.extra[rows] += 1
        sd, _ = nights.noise(rows)
        rows = rows[known_sum[rows] / known_n[rows] - nights.candidate[rows, 1] / (k + 1) >= rule.lead * sd]
        if not len(rows):
            break
        beside = nights.run_incumbent(rows)
        out.extra[rows] += 1
        beside_sum[rows] += beside
        known_sum[rows] += beside
        known_n[rows] += 1
        sd, df = nights.noise(rows)
        lead = (beside_sum[rows] - nights.candidate[rows, 1]) / (k + 1)
        error = sd * np.sqrt(2 / (k + 1))
        keep = lead >= critical(rule.alpha[k], nights.known)[df] * error
        out.kept[rows[keep]] = True
        out.lead[rows] = lead
        out.reach[rows] = critical(0.025, nights.known)[df] * error
        rows = rows[~keep]
    nights.settle(out.kept, out.fresh)
    return out


@dataclass(kw_only=True)
class SingleRun:
    """Policies that believe one run: the incumbent is its own screening run. Their state is a score per night."""

    nights: Nights
    margin: float
    """In sd of the calibration; 0 is keep-if-lower."""

    def __post_init__(self) -> None:
        mean, _ = self.nights.reference_mean()
        self.best = self.nights.reference[:, 0].copy() if self.margin == 0 else mean
        """Keep-if-lower measures its baseline once; a margin needs the calibration, whose mean it may use."""
        squares, df = _within(self.nights.incumbent), _free(self.nights.incumbent)
        self.sd = np.ones(self.nights.count) if self.nights.known else np.sqrt(squares / df)
        self.truth = np.zeros(self.nights.count)

    def decide(self, effect: float = 0.0, *, commit: bool = True) -> Flags:
        """Keep or not, on one run each."""
        nights = self.nights if commit else self.nights.copy()
        where = nights.offset.copy()
        score = nights.screen(effect)
        kept = score < self.best - self.margin * self.sd
        if commit:
            self.best = np.where(kept, score, self.best)
            self.truth = np.where(kept, where, self.truth)
        return kept

    def bias(self) -> Floats:
        """By how much the score of the incumbent is too good."""
        return self.truth - self.best


def three_fresh(nights: Nights, effect: float = 0.0) -> Outcome:
    """Screen at 1 sd, then three fresh runs of the candidate against the reference, kept at p < 0.01."""
    n = nights.count
    rows = np.arange(n)
    known, known_n = nights.reference_mean()
    sd, _ = nights.noise(rows)
    rows = rows[known - nights.screen(effect) >= sd]
    fresh = np.full((n, 3), np.nan)
    for k in range(3):
        fresh[rows, k] = nights.run_candidate(rows, effect)
    sd, df = nights.noise(rows)
    lead, error = known[rows] - fresh[rows].mean(axis=1), sd * np.sqrt(1 / 3 + 1 / known_n[rows])
    kept = np.zeros(n, dtype=bool)
    kept[rows] = lead >= critical(0.01, nights.known)[df] * error
    extra, leads, reach = np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n)
    extra[rows], leads[rows], reach[rows] = 3, lead, critical(0.025, nights.known)[df] * error
    nights.settle(kept, fresh)
    return Outcome(kept=kept, extra=extra, lead=leads, reach=reach, fresh=fresh)
