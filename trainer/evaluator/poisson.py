"""Exact Poisson limits, from the standard library: how many rare events a count rules out."""

import math


def poisson_cdf(count: int, mean: float) -> float:
    """P(X ≤ count) for X ~ Poisson(mean)."""
    if count < 0:
        return 0.0
    if mean <= 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1)))


def upper_limit(count: int, miss: float) -> float:
    """Largest mean under which `count` or fewer events still have probability `miss`; −ln(miss) for none seen."""
    low, high = float(count), count + 10.0 + 10.0 * math.sqrt(count + 1) - math.log(miss) * 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if poisson_cdf(count, middle) > miss else (low, middle)
    return high


def lower_limit(count: int, miss: float) -> float:
    """Smallest mean under which `count` or more events still have probability `miss`; 0 for none seen."""
    if count == 0:
        return 0.0
    low, high = 0.0, float(count)
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if 1.0 - poisson_cdf(count - 1, middle) < miss else (low, middle)
    return low
