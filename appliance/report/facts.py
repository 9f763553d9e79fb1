"""What the sections of a page share, worked out once from the record: baseline, winner, lineage, noise, counts.

Only runs that count are averaged: status ok, a score, and for an experiment only the runs its verdict names (not the
screening run). Confirmation runs are kept apart: they were scored on other splits. So are runs that came after the night, which
has its own clock: it stands still between a cut and its resumption, and is over at the night's end.
"""

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from appliance.records import Confirmation, Experiment, Metric, Night, Run
from appliance.report import numbers

KEPT: Final = frozenset({"kept", "kept_simpler"})
_FRESH: Final = frozenset({"replicate", "rebaseline"})
_T_975: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def t_975(degrees: float) -> float:
    """0.975 quantile of Student's t: a table to 15 degrees of freedom, then the Cornish-Fisher expansion (error < 0.001)."""
    if degrees < 1:
        return _T_975[0]
    if degrees <= len(_T_975):
        return _T_975[int(degrees) - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of several scores."""

    mean: float
    sd: float | None
    n: int


def mean_of(scores: list[float]) -> Mean | None:
    """Mean and sample standard deviation; None of nothing."""
    if not scores:
        return None
    return Mean(statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else None, len(scores))


@dataclass(frozen=True)
class Gain:
    """A relative difference of the metric, winner against baseline, with where it comes from."""

    relative: float
    """A share of the baseline's score; in the metric's own unit where `absolute`."""
    low: float | None
    high: float | None
    split: str
    pairs: int
    holds: bool | None
    """None: cannot be said (no interval)."""
    method: str
    absolute: bool = False
    """The baseline scored exactly 0, so nothing can be relative to it."""


class Facts:
    """One night, read once."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.plan = night.plan
        self.state = night.state
        self.metric: Metric = night.plan.task.metric
        self.lower = self.metric.direction == "lower"
        self.runs: list[Run] = sorted(night.runs, key=lambda run: (run.run, run.experiment))
        self.experiments: list[Experiment] = sorted(night.experiments, key=lambda e: e.experiment)

    @cached_property
    def metric_label(self) -> str:
        """The metric's name as people say it."""
        return self.metric.name.replace("_", " ")

    @cached_property
    def by_number(self) -> dict[int, Experiment]:
        """Experiment number → experiment."""
        return {e.experiment: e for e in self.experiments}

    @cached_property
    def runs_of(self) -> dict[int, list[Run]]:
        """Experiment number → its runs, in order; not an attribution's, which ran the winner with and without that experiment's change."""
        found: dict[int, list[Run]] = {}
        for run in self.runs:
            if run.kind != "attribute":
                found.setdefault(run.experiment, []).append(run)
        return found

    @cached_property
    def later(self) -> list[Run]:
        """Runs that came while the night stood still or was over: an attribution's, and those of a confirmation asked for again."""
        return [r for r in self.runs if r.kind == "attribute" or (r.kind == "confirm" and self._over(numbers.moment(r.started_at)))]

    @cached_property
    def own(self) -> list[Run]:
        """Runs of the night itself."""
        later = {r.run for r in self.later}
        return [r for r in self.runs if r.run not in later]

    @cached_property
    def baseline_runs(self) -> list[Run]:
        """Runs of the unchanged asset that the search compared with."""
        return [r for r in self.runs_of.get(0, []) if r.kind != "confirm"]

    @cached_property
    def baseline(self) -> Mean | None:
        """Score of the unchanged asset."""
        return mean_of(_scores(self.baseline_runs))

    @cached_property
    def noise(self) -> tuple[float, int] | None:
        """Standard deviation of one run, and the degrees of freedom behind it: the last that a verdict used, else the calibration's own."""
        for experiment in reversed(self.experiments):
            if experiment.noise_sd is not None and math.isfinite(experiment.noise_sd) and experiment.noise_sd > 0:
                return experiment.noise_sd, experiment.noise_n or 0
        if self.baseline and self.baseline.sd:
            return self.baseline.sd, self.baseline.n - 1
        return None

    @cached_property
    def winner(self) -> Experiment | None:
        """The experiment that leads at the end; None while the baseline does."""
        return self.by_number.get(self.state.incumbent) if self.state.incumbent else None

    @cached_property
    def lineage(self) -> list[Experiment]:
        """The kept changes that make the winner, oldest first."""
        chain: list[Experiment] = []
        seen: set[int] = set()
        current = self.winner
        while current is not None and current.experiment not in seen:
            seen.add(current.experiment)
            chain.append(current)
            current = self.by_number.get(current.parent) if current.parent else None
        return chain[::-1]

    def counted(self, experiment: Experiment) -> list[Run]:
        """Ok and scored runs that an experiment is judged by: the fresh ones, its own and those that later verdicts asked for.

        The screening run was selected on and counts only where nothing fresh ran.
        """
        found = [
            r for r in self.runs_of.get(experiment.experiment, []) if r.kind != "confirm" and r.status == "ok" and numbers.known(r.score)
        ]
        return [r for r in found if r.kind in _FRESH] or found

    def level(self, experiment: int) -> float | None:
        """Where an experiment stands: the mean of the runs that count; the baseline's for 0."""
        if experiment == 0:
            return self.baseline.mean if self.baseline else None
        found = self.by_number.get(experiment)
        scores = _scores(self.counted(found)) if found else []
        return statistics.fmean(scores) if scores else None

    @cached_property
    def winner_runs(self) -> list[Run]:
        """Ok runs of the winner, for what it reveals about itself; the baseline's while it leads."""
        if self.winner is None:
            return [r for r in self.baseline_runs if r.status == "ok"]
        return self.counted(self.winner)

    @cached_property
    def confirmation(self) -> Confirmation | None:
        """What was said at the end."""
        return self.state.confirmation

    @cached_property
    def search_gain(self) -> Gain | None:
        """The search's own claim, from its fresh runs on the split it selected on (Welch interval): flattering by construction."""
        if self.winner is None or self.baseline is None or not self.baseline.mean:
            return None
        won = mean_of(_scores(self.counted(self.winner)))
        if won is None:
            return None
        relative = (won.mean - self.baseline.mean) / abs(self.baseline.mean)
        low = high = holds = None
        sd, n = self.noise or (None, 0)
        parts = [(m.sd if m.sd is not None else sd, m.n) for m in (won, self.baseline)]
        if all(s is not None for s, _ in parts) and (n or won.n + self.baseline.n > 2):
            variance = sum((s or 0.0) ** 2 / k for s, k in parts)
            half = t_975(max(1, won.n + self.baseline.n - 2)) * math.sqrt(variance) / abs(self.baseline.mean)
            low, high = relative - half, relative + half
            holds = high < 0 if self.lower else low > 0
        return Gain(relative, low, high, "val", won.n, holds, "means of fresh runs, Welch interval")

    def estimate(self, split: str) -> Gain | None:
        """A confirmed difference on one split."""
        if self.confirmation is None:
            return None
        for e in self.confirmation.estimates:
            if e.split == split:
                if e.relative is None:
                    return Gain(e.difference, e.interval_low, e.interval_high, e.split, e.pairs, e.holds, e.method, absolute=True)
                return Gain(e.relative, e.relative_low, e.relative_high, e.split, e.pairs, e.holds, e.method)
        return None

    @cached_property
    def verdicts(self) -> Counter[str]:
        """Verdict → how many."""
        return Counter(str(e.verdict) for e in self.experiments)

    @cached_property
    def statuses(self) -> Counter[str]:
        """Run status → how many."""
        return Counter(r.status for r in self.runs)

    @cached_property
    def elapsed_s(self) -> float | None:
        """The night's clock at its end by the record's own times; at the last thing known where the night has no end."""
        end = self.clock_at(self.state.ended_at)
        latest = [self.clock_at(t) for t in (*(e.decided_at for e in self.experiments), *(r.started_at for r in self.own))]
        known = [s for s in ([end] if end is not None else latest) if s is not None]
        return max(0.0, *known) if known else None

    def clock_at(self, time: str | None) -> float | None:
        """Seconds on the night's clock at a time of the record; None where that or the night's start is unknown."""
        start, at = numbers.moment(self.plan.started_at), numbers.moment(time)
        if start is None or at is None:
            return None
        return (at - start - sum((min(at, until) - cut for cut, until in self._stood_still if cut < at), timedelta())).total_seconds()

    @cached_property
    def _stood_still(self) -> list[tuple[datetime, datetime]]:
        """From each cut to its resumption."""
        pairs = [(numbers.moment(str(cut.get("at"))), numbers.moment(str(cut.get("resumed_at")))) for cut in self.state.cuts]
        return [(at, until) for at, until in pairs if at is not None and until is not None and at < until]

    def _over(self, at: datetime | None) -> bool:
        """Whether the night's clock stood still at a moment; False where either is unknown."""
        end = numbers.moment(self.state.ended_at)
        return at is not None and ((end is not None and at > end) or any(cut < at < until for cut, until in self._stood_still))

    @cached_property
    def running(self) -> bool:
        """Whether the night has not ended."""
        return self.state.ended_at is None and self.state.phase not in {"ended", "done", "imported"} and not self.plan.imported


def _scores(runs: list[Run]) -> list[float]:
    return [r.score for r in runs if r.status == "ok" and r.score is not None and math.isfinite(r.score)]
