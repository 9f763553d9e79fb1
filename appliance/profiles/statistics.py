"""Aggregates from raw samples. The same functions make a measurement and verify one, so that a file can be recomputed by anyone."""

import statistics
from collections.abc import Sequence

from appliance.records import AttentionResult

TIE = 0.03
"""Two attention backends closer than this are tied: run to run they change places."""


def matrix_flops(shape: tuple[int, int, int], samples_s: Sequence[float]) -> float:
    """2·M·K·N over the median of seconds per product. FLOP/s."""
    m, k, n = shape
    return 2.0 * m * k * n / statistics.median(samples_s)


def mamf_flops(shape: tuple[int, int, int], samples_s: Sequence[float]) -> float:
    """2·M·K·N over the mean: the statistic of the published table. FLOP/s."""
    m, k, n = shape
    return 2.0 * m * k * n / statistics.fmean(samples_s)


def bandwidth(bytes_moved: int, samples_s: Sequence[float]) -> float:
    """Bytes over the least of seconds: the rule of STREAM (McCalpin 1995). Bytes/s."""
    return bytes_moved / min(samples_s)


def attention_winners(results: Sequence[AttentionResult]) -> list[dict[str, object]]:
    """The fastest accepted backend by forward plus backward for each (head dim, window), and who is within `TIE` of it."""
    cases = sorted({(r.head_dim, r.window) for r in results}, key=lambda case: (case[0], case[1] or 0))
    winners: list[dict[str, object]] = []
    for head_dim, window in cases:
        timed = sorted(
            (r.forward_s + r.backward_s, r.backend)
            for r in results
            if (r.head_dim, r.window) == (head_dim, window) and r.accepted and r.forward_s and r.backward_s
        )
        if timed:
            best, backend = timed[0]
            tied = sorted(name for seconds, name in timed[1:] if seconds <= best * (1 + TIE))
            winners.append({"head_dim": head_dim, "window": window, "backend": backend, "tied": tied})
    return winners
