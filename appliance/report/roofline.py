"""The roofline picture of a profile: measured matrix rates and bandwidth, and the heights at which reference and winner work.

A run reports its rate (efficiency times measured peak), not its arithmetic intensity. So each stands as a line at its height,
from the roof to the right: it lies somewhere on it. Williams, Waterman, Patterson 2009, "Roofline: an insightful visual performance model".
"""

import math
from dataclasses import dataclass, field

from appliance.records import Profile
from appliance.report import numbers
from appliance.report.charts import Scale, Tick, decades, path, px

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 624, 16, 252


@dataclass(frozen=True, slots=True)
class Line:
    """A height of the picture."""

    kind: str
    """`roof`, `reference`, `winner`."""
    label: str
    x: str
    y: str
    anchor_y: str


@dataclass(frozen=True, slots=True)
class Roofline:
    """All that the macro draws; `roof` is empty where rate or bandwidth is unknown."""

    roof: str = ""
    lines: list[Line] = field(default_factory=list)
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    ridge: str = ""
    ridge_x: str = ""
    text: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _BOTTOM


def build(profile: Profile, heights: list[tuple[str, str, float]]) -> Roofline:
    """The picture.

    Args:
        profile: with `peak_flops` (FLOP/s) and `bandwidth_bytes_per_s`.
        heights: (kind, label, FLOP/s) of configurations.
    """
    peak, bandwidth = profile.peak_flops, profile.bandwidth_bytes_per_s
    if not peak or not bandwidth:
        return Roofline(text="The profile has no measured rate or no measured bandwidth, so there is no roof to draw.")
    ridge = peak / bandwidth
    rates = sorted({(r.dtype, r.flops) for r in profile.measurement.matrix} if profile.measurement else set(), key=lambda pair: -pair[1])
    heights = [h for h in heights if h[2] > 0]
    x_low, x_high = 10 ** math.floor(math.log10(ridge) - 1.6), 10 ** math.ceil(math.log10(ridge) + 1.2)
    highest = max([peak, *(flops for _, flops in rates)])
    lowest = min([x_low * bandwidth, *(h[2] * 0.7 for h in heights), *(flops * 0.7 for _, flops in rates)])
    x, y = Scale(x_low, x_high, _LEFT, _RIGHT, log=True), Scale(lowest, highest * 1.6, _BOTTOM, _TOP, log=True)
    start = max(x_low, y.low / bandwidth)
    roof = path([(x.at(start), y.at(start * bandwidth)), (x.at(ridge), y.at(peak)), (x.at(x_high), y.at(peak))])
    lines: list[Line] = []
    taken: list[float] = []
    named = [("roof", f"{dtype} {numbers.scaled(flops, 'FLOP/s')}", flops) for dtype, flops in rates] or [
        ("roof", numbers.scaled(peak, "FLOP/s"), peak)
    ]
    for kind, label, flops in [*heights, *named]:
        at = y.at(flops)
        anchor = at - 5
        while any(abs(anchor - t) < 13 for t in taken) and anchor < _BOTTOM:
            anchor += 13
        taken.append(anchor)
        lines.append(Line(kind, label, px(x.at(max(flops / bandwidth, x_low))), px(at), px(anchor)))
    text = (
        f"Measured matrix rate {numbers.scaled(peak, 'FLOP/s')}, measured bandwidth {numbers.scaled(bandwidth, 'B/s')}; "
        f"they meet at {numbers.significant(ridge)} FLOP per byte. " + " ".join(f"{label}." for _, label, _ in heights)
    )
    return Roofline(roof, lines, decades(x, ""), decades(y, "FLOP/s"), numbers.significant(ridge), px(x.at(ridge)), text)
