"""Student's t: tail probability and quantile, without scipy (which would be the host's largest dependency).

The tail is a regularised incomplete beta function, evaluated by its continued fraction (DLMF 8.17.22) with Lentz's algorithm;
relative error below 1e-10 for 1 ≤ df ≤ 1e6. Above that the normal distribution is used: they differ by less than 1e-6 there.
"""

import math
from functools import lru_cache
from statistics import NormalDist

NORMAL = NormalDist()
_LARGE_DF = 1e6


def tail(t: float, df: float) -> float:
    """P(T > t) for T ~ Student's t with `df` > 0 degrees of freedom."""
    if df <= 0:
        raise ValueError(f"degrees of freedom must be positive, not {df}")
    if math.isinf(t):
        return 0.0 if t > 0 else 1.0
    if df > _LARGE_DF:
        return 0.5 * math.erfc(t / math.sqrt(2))
    half = 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))
    return half if t >= 0 else 1 - half


@lru_cache(maxsize=4096)
def quantile(upper: float, df: float) -> float:
    """The t with P(T > t) = `upper`, 0 < upper < 1."""
    if not 0 < upper < 1:
        raise ValueError(f"a tail probability lies between 0 and 1, not {upper}")
    if upper > 0.5:
        return -quantile(1 - upper, df)
    if df > _LARGE_DF:
        return -NORMAL.inv_cdf(upper)
    low, high = 0.0, 1.0
    while tail(high, df) > upper:
        low, high = high, high * 2
    while high - low > 1e-12 * max(1.0, high):
        middle = (low + high) / 2
        if tail(middle, df) > upper:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(a, b, x) / a
    return 1 - front * _continued_fraction(b, a, 1 - x) / b


def _continued_fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or tiny)
    fraction = d
    for m in range(1, 10_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + step * d) or tiny)
            c = (1 + step / c) or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            return fraction
    raise ArithmeticError(f"incomplete beta did not converge at a={a}, b={b}, x={x}")
