"""What fresh seeds on data nobody selected on say of the winner: the difference, its interval, and how much of the claim is left.

Two things vary: the seed of a training and the documents that happen to be in the split. A new night would draw both again, so the
interval covers both. With pair i and document j the difference is d_ij = μ + a_i + b_j + e_ij, and

    Var(mean) = σ_a²/n + σ_b²/D + σ_e²/(nD).

The spread of the n pair differences gives s²/n, which estimates (σ_a² + σ_e²/D)/n. The bootstrap over documents (each draw takes the same
documents for all runs, as all were scored on the same ones) gives V, which estimates (σ_b² + σ_e²/n)/D. Their sum counts σ_e²/(nD) twice:
slightly too wide, never too narrow (A. Owen, "The pigeonhole bootstrap", Ann. Appl. Stat. 1 (2007), shows that no bootstrap of two
crossed factors is exact). Each part has its own Student half-width, with n−1 and D−1 degrees of freedom, and the two are added in squares
(the method of variance estimates recovery: G. Zou & A. Donner, Stat. Med. 27 (2008)). Satterthwaite's single quantile was tried and
covered 93 % where 95 % was said: at four pairs the seeds have 3 degrees of freedom, and that has to be paid for in full. Pairs, not two
independent samples, because runs of a pair are neighbours in time and a drifting machine moves both.

The relative difference is a ratio of means, R − 1 with R = winner/baseline (its sign turned where scores are negative). Its seeds' part
is linearised (delta method: d_i = (w_i − R b_i)/b̄); its documents' part is the bootstrap of the ratio itself, in which hard documents
are hard for both.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

import numpy as np

from appliance.judge import student
from appliance.records import Estimate, Metric

Documents = Sequence[tuple[float, int]]
"""Per document: (sum of the metric's numerator, its weight)."""

DRAWS = 2000
"""Bootstrap draws: the standard error they give is itself good to 1.6 %."""
MIN_TEST_PAIRS = 4
MIN_TRANSFER_PAIRS = 3
_SEED = 20_07
_SAME_TEXT = 0.1
"""Share by which the text that two runs of one split were scored on may differ in length."""


def estimate(
    split: str,
    metric: Metric,
    baseline_scores: Sequence[float],
    winner_scores: Sequence[float],
    baseline_documents: Sequence[Documents] = (),
    winner_documents: Sequence[Documents] = (),
) -> Estimate:
    """Difference (winner minus baseline) on one split with its 95 % interval.

    Scores are in the order of the pairs; documents, where there are any, one list per run in the same order, the same documents in every
    list. Raises ValueError for unpaired scores, fewer than two pairs, or documents that differ between runs.
    """
    n = len(baseline_scores)
    if n != len(winner_scores):
        raise ValueError(f"{n} baseline runs and {len(winner_scores)} of the winner are no pairs")
    if n < 2:
        raise ValueError("an interval over seeds needs two pairs")
    baseline, winner = fmean(baseline_scores), fmean(winner_scores)
    difference = winner - baseline
    pairs = list(zip(baseline_scores, winner_scores, strict=True))
    seeds = stdev([w - b for b, w in pairs]) / math.sqrt(n)
    documents, by_documents, by_documents_relative = 0, 0.0, 0.0
    if baseline_documents or winner_documents:
        documents, by_documents, by_documents_relative = _bootstrap(n, baseline_documents, winner_documents)
    reach = _reach(seeds, n, by_documents, documents)
    relative = relative_reach = None
    if baseline:
        seeds_relative = stdev([(w - winner / baseline * b) / baseline for b, w in pairs]) / math.sqrt(n)
        relative = difference / abs(baseline)
        relative_reach = _reach(seeds_relative, n, by_documents_relative, documents)
    low, high = difference - reach, difference + reach
    over = f"and bootstrap over {documents} documents" if documents > 1 else "alone: no documents were scored apart"
    return Estimate(
        split=split,
        baseline_mean=baseline,
        winner_mean=winner,
        difference=difference,
        interval_low=low,
        interval_high=high,
        relative=relative,
        relative_low=relative - relative_reach if relative is not None and relative_reach is not None else None,
        relative_high=relative + relative_reach if relative is not None and relative_reach is not None else None,
        pairs=n,
        method=f"95 %: Student over {n} seed pairs {over}",
        holds=high < 0 if metric.direction == "lower" else low > 0,
    )


def shrinkage(claimed: float | None, confirmed: float | None) -> float | None:
    """1 − confirmed / claimed, both relative differences: the share of the claim that fresh data took away; None without either."""
    return 1 - confirmed / claimed if claimed and confirmed is not None else None


def status(
    estimates: Sequence[Estimate], *, winner: bool = True, transfer_wanted: bool = True
) -> tuple[Literal["confirmed", "not_confirmed", "not_run", "no_winner"], str | None]:
    """What the page may say, and why: confirmed only where enough pairs ran and the difference on test holds.

    winner: the search kept anything. transfer_wanted: the task has a second corpus. The estimate on it must exist with enough pairs; it
    need not hold, as the two questions are answered apart.
    """
    if not winner:
        return "no_winner", "nothing was kept"
    by_split = {one.split: one for one in estimates}
    test, transfer = by_split.get("test"), by_split.get("transfer_configuration")
    if test is None or test.pairs < MIN_TEST_PAIRS:
        return "not_run", f"{test.pairs if test else 0} of {MIN_TEST_PAIRS} pairs on test fitted"
    if not test.holds:
        return "not_confirmed", "the interval on test includes no difference or a worse one"
    if transfer_wanted and (transfer is None or transfer.pairs < MIN_TRANSFER_PAIRS):
        return (
            "not_run",
            f"holds on test, but {transfer.pairs if transfer else 0} of {MIN_TRANSFER_PAIRS} pairs on the second corpus fitted",
        )
    return "confirmed", None


def _reach(seeds: float, pairs: int, by_documents: float, documents: int) -> float:
    """Half a 95 % interval from the two standard errors: each part's own half-width, added in squares."""
    of_seeds = student.quantile(0.025, pairs - 1) * seeds
    of_documents = student.quantile(0.025, documents - 1) * by_documents if documents > 1 else 0.0
    return math.hypot(of_seeds, of_documents)


def _bootstrap(n: int, baseline: Sequence[Documents], winner: Sequence[Documents]) -> tuple[int, float, float]:
    """Documents, and the standard error over them of the difference and of the ratio of the mean scores."""
    if len(baseline) != n or len(winner) != n:
        raise ValueError(f"documents of {len(baseline)} and {len(winner)} runs stand beside {n} pairs of scores")
    runs = (*baseline, *winner)
    # All begin at the same document; where a run stops reading depends on how its artifact cuts the text: the last one may differ a little.
    documents = min(len(run) for run in runs)
    weights = np.array([[weight for _, weight in run[:documents]] for run in runs], dtype=np.float64)
    totals = [sum(weight for _, weight in run) for run in runs]
    if max(totals) > (1 + _SAME_TEXT) * min(totals):
        raise ValueError("runs of one split were scored on different documents")
    if documents < 2:
        return documents, 0.0, 0.0
    sums = np.array([[value for value, _ in run[:documents]] for run in runs], dtype=np.float64)
    columns = np.stack([sums[:n].mean(axis=0), sums[n:].mean(axis=0), weights[:n].mean(axis=0), weights[n:].mean(axis=0)])
    # Drawing D of D documents with replacement is counting each a multinomial number of times.
    rng = np.random.default_rng(_SEED)
    draws = np.stack([np.bincount(rng.integers(documents, size=documents), minlength=documents) @ columns.T for _ in range(DRAWS)])
    scored = (draws[:, 2] > 0) & (draws[:, 3] > 0)
    b, w = draws[scored, 0] / draws[scored, 2], draws[scored, 1] / draws[scored, 3]
    small = math.sqrt(documents / (documents - 1))  # a bootstrap of D draws from D shows the spread of D − 1
    return documents, small * float(np.std(w - b, ddof=1)), small * float(np.std(w / b, ddof=1)) if np.all(b != 0) else 0.0
