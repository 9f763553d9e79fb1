"""The index of profiles: a table of every board that anything is known of, and a picture of rate against bandwidth.

Takes plain data (`{"boards": […], "problems": […]}`); what a board holds is documented where that data is made. Everything in it
may be missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.report import numbers, templates
from appliance.report.charts import Scale, Tick, decades, px


@dataclass(frozen=True, slots=True)
class Plot:
    """Boards by bandwidth and rate."""

    dots: list[tuple[str, str, str, bool]] = field(default_factory=list)
    """x, y, title, measured."""
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    text: str = ""


def profile_index(index: Mapping[str, Any]) -> str:
    """The page, from the index as data."""
    boards = [b for b in index.get("boards", []) if isinstance(b, Mapping)]
    rows = sorted((_row(b) for b in boards), key=lambda r: (r["vendor"], r["name"].lower()))
    return templates.rendered("profiles.html", rows=rows, plot=_plot(boards), problems=[str(p) for p in index.get("problems", [])])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and numbers.known(value) else None


def _row(board: Mapping[str, Any]) -> dict[str, Any]:
    sheet = board.get("datasheet") or {}
    roof = board.get("roofline") or {}
    measured = board.get("measurements") or []

    def of(key: str, unit: str) -> str:
        return numbers.scaled(_number((sheet.get(key) or {}).get("value")), unit)

    return {
        "vendor": str(board.get("vendor") or ""),
        "name": str(board.get("name") or board.get("folder") or "unnamed"),
        "architecture": str(board.get("architecture") or ""),
        "flops": of("bf16_flops", "FLOP/s"),
        "bandwidth": of("bandwidth_bytes_per_s", "B/s"),
        "memory": of("memory_bytes", "B"),
        "peak": numbers.scaled(_number(roof.get("peak_flops")), "FLOP/s"),
        "rate": numbers.scaled(_number(roof.get("bandwidth_bytes_per_s")), "B/s"),
        "ridge": numbers.significant(_number(roof.get("ridge_flops_per_byte"))),
        "source": str(roof.get("source") or ""),
        "measured": len(measured),
    }


def _plot(boards: list[Mapping[str, Any]]) -> Plot:
    points = []
    for board in boards:
        roof = board.get("roofline") or {}
        rate, bandwidth = _number(roof.get("peak_flops")), _number(roof.get("bandwidth_bytes_per_s"))
        if rate and bandwidth and rate > 0 and bandwidth > 0:
            points.append((str(board.get("name") or board.get("folder") or "unnamed"), rate, bandwidth, bool(board.get("measurements"))))
    if not points:
        return Plot()
    x = Scale(min(p[2] for p in points) / 1.5, max(p[2] for p in points) * 1.5, 90, 944, log=True)
    y = Scale(min(p[1] for p in points) / 1.5, max(p[1] for p in points) * 1.5, 330, 14, log=True)
    dots = [
        (px(x.at(b)), px(y.at(r)), f"{name}: {numbers.scaled(r, 'FLOP/s')}, {numbers.scaled(b, 'B/s')}", measured)
        for name, r, b, measured in sorted(points)
    ]
    return Plot(
        dots, decades(x, "B/s"), decades(y, "FLOP/s"), f"{numbers.plural(len(points), 'board')}, each at its bandwidth and matrix rate."
    )
