"""Scales of the charts: ticks at round numbers, coordinates as short texts. No drawing; the macros draw."""

import math
from dataclasses import dataclass
from typing import TypeVar

from appliance.report import numbers

Point = TypeVar("Point")


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to pixels, linear or by decades."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Pixel of a value, held inside the drawing."""
        low, high, v = (
            (math.log10(self.low), math.log10(self.high), math.log10(max(value, 1e-300))) if self.log else (self.low, self.high, value)
        )
        share = 0.5 if high == low else (v - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Tick:
    """One line of a grid."""

    at: str
    label: str


def px(value: float) -> str:
    """A coordinate to half a pixel or so, as short as it can be written."""
    return f"{value:.1f}".removesuffix(".0")


def ticks(scale: Scale, wanted: int = 5) -> list[Tick]:
    """About so many ticks at 1, 2, 2.5 or 5 times a power of ten."""
    span = scale.high - scale.low
    if span <= 0 or not math.isfinite(span):
        return [Tick(px(scale.at(scale.low)), numbers.significant(scale.low, 4))]
    raw = span / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step / 10.0**-decimals - round(step / 10.0**-decimals)) > 1e-6:
        decimals += 1
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [Tick(px(scale.at(i * step)), numbers.fixed(i * step, decimals)) for i in range(first, min(last, first + 40) + 1)]


def decades(scale: Scale, unit: str) -> list[Tick]:
    """Ticks at powers of ten of a logarithmic scale."""
    first, last = math.ceil(math.log10(scale.low) - 1e-9), math.floor(math.log10(scale.high) + 1e-9)
    return [
        Tick(px(scale.at(10.0**k)), numbers.scaled(10.0**k, unit) if unit else numbers.significant(10.0**k)) for k in range(first, last + 1)
    ]


def log_ticks(scale: Scale, unit: str) -> list[Tick]:
    """Ticks of a logarithmic scale: powers of ten, and 2 and 5 times them where that leaves fewer than three."""
    found = decades(scale, unit)
    if len(found) >= 3:
        return found
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    values = [m * 10.0**k for k in range(first, last + 1) for m in (1, 2, 5)]
    inside = [v for v in values if scale.low <= v <= scale.high]
    return [Tick(px(scale.at(v)), numbers.scaled(v, unit) if unit or v >= 1e5 else numbers.significant(v)) for v in inside]


def path(points: list[tuple[float, float]]) -> str:
    """An SVG path through pixels."""
    return "M" + " ".join(f"{px(x)},{px(y)}" for x, y in points) if points else ""


def thinned(points: list[Point], most: int) -> list[Point]:
    """At most so many points, the first and last among them, evenly chosen."""
    if len(points) <= most:
        return points
    return [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)]
