"""Several nights side by side: within a device class, do they agree; across classes, how the best configuration moves.

A class is one kind of device, one task, one preset. Scores are compared inside a class only; across classes the page shows
configurations and what they reveal, in the order of the measured rate, and never says which score is better.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.errors import UsageError
from appliance.records import Night
from appliance.report import configuration, numbers, templates, verdict
from appliance.report.charts import Scale, Tick, decades, log_ticks, px
from appliance.report.facts import Facts, Gain
from appliance.report.observed import observed


@dataclass(frozen=True, slots=True)
class Line:
    """One constant over the nights of a class."""

    name: str
    unit: str
    cells: list[tuple[str, str]]
    """(value, direction sign) per night."""
    agreement: str
    agrees: bool


@dataclass(frozen=True, slots=True)
class Class:
    """One device class."""

    title: str
    nights: list[dict[str, Any]]
    lines: list[Line]
    said: list[str]


@dataclass(frozen=True, slots=True)
class Dot:
    """One class in a picture."""

    x: str
    y: str
    name: str
    anchor: str
    label: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One quantity of the best configurations against the measured rate of their devices."""

    title: str
    dots: list[Dot] = field(default_factory=list)
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    text: str = ""


def compare(nights: Sequence[Night]) -> str:
    """The page of several nights.

    Raises:
        UsageError: fewer than two nights.
    """
    if len(nights) < 2:
        raise UsageError("compare needs at least two nights")
    classes = grouped(nights)
    built = [_class(facts) for facts in classes.values()]
    across = [_summary(facts) for facts in classes.values()] if len(classes) > 1 else []
    across.sort(key=lambda row: (row["rate"] or 0.0, row["title"]))
    return templates.rendered("compare.html", classes=built, across=across, pictures=_pictures(across), nights=len(nights))


def comparison(nights: Sequence[Night]) -> dict[str, Any]:
    """The same as data, for `--json`."""
    return {
        "classes": [
            {
                "title": c.title,
                "nights": [n["night_id"] for n in c.nights],
                "said": c.said,
                "constants": {
                    line.name: {"agreement": line.agreement, "agrees": line.agrees, "values": [v for v, _ in line.cells]}
                    for line in c.lines
                },
            }
            for c in (_class(facts) for facts in grouped(nights).values())
        ]
    }


def grouped(nights: Sequence[Night]) -> dict[tuple[str, str, str], list[Facts]]:
    """Device class → its nights, oldest first."""
    found: dict[tuple[str, str, str], list[Facts]] = {}
    for night in sorted(nights, key=lambda n: (n.plan.started_at, n.plan.night_id)):
        found.setdefault((night.plan.device.slug, night.plan.task.name, night.plan.preset_name), []).append(Facts(night))
    return found


def _gain(facts: Facts) -> tuple[Gain | None, str]:
    test = facts.estimate("test")
    if test is not None:
        return test, "held on test" if test.holds else "did not hold on test"
    if facts.plan.imported:
        return facts.search_gain, "imported, unverified"
    return facts.search_gain, "not confirmed: the search's own claim" if facts.winner else "no gain"


def _class(nights: list[Facts]) -> Class:
    first = nights[0]
    shown = []
    for facts in nights:
        gain, said = _gain(facts)
        shown.append(
            {
                "night_id": facts.plan.night_id,
                "day": numbers.day(facts.plan.started_at),
                "said": said,
                "agent": facts.plan.agent,
                "gain": verdict.signed(gain)[0] if gain else numbers.UNKNOWN,
                "span": verdict.signed(gain)[1] if gain else numbers.UNKNOWN,
                "held": bool(gain and gain.holds),
            }
        )
    with_winner = [facts for facts in nights if facts.winner is not None]
    lines = _lines(with_winner)
    title = f"{first.plan.device.name}, {first.plan.task.name}, preset {first.plan.preset_name}"
    return Class(title, shown, lines, _said(nights, with_winner, lines))


def _lines(nights: list[Facts]) -> list[Line]:
    pairs = [configuration.configurations(facts) for facts in nights]
    names = [
        n for n in dict.fromkeys(k for before, after in pairs for k in {**before, **after}) if any(b.get(n) != a.get(n) for b, a in pairs)
    ]
    lines = []
    for name in names:
        cells, signs = [], []
        for before, after in pairs:
            old, new = before.get(name), after.get(name)
            sign = "="
            if old != new:
                number = (
                    isinstance(old, int | float)
                    and isinstance(new, int | float)
                    and not isinstance(old, bool)
                    and not isinstance(new, bool)
                )
                sign = ("↑" if new > old else "↓") if number else f"→ {numbers.literal(new)}"  # type: ignore[operator]
            cells.append((numbers.literal(new) if new is not None else numbers.UNKNOWN, sign if len(sign) == 1 else "≠"))
            signs.append(sign)
        agrees = len(set(signs)) == 1
        spec = nights[0].plan.task.constants.get(name)
        lines.append(Line(name, spec.unit if spec else "", cells, _agreement(signs), agrees and len(signs) > 1))
    return lines


def _agreement(signs: list[str]) -> str:
    if len(signs) < 2:
        return "one night"
    words = {"↑": "up", "↓": "down", "=": "unchanged"}
    common = max(set(signs), key=lambda s: (signs.count(s), s))
    word = words.get(common, common)
    return f"all {word}" if signs.count(common) == len(signs) else f"{word} in {signs.count(common)} of {len(signs)}"


def _said(nights: list[Facts], won: list[Facts], lines: list[Line]) -> list[str]:
    if len(nights) == 1:
        return ["One night only: there is nothing to agree with yet."]
    said = [f"{len(won)} of {len(nights)} nights ended with a winner."]
    if len(won) > 1 and lines:
        agree = sum(line.agrees for line in lines)
        said.append(f"{agree} of the {len(lines)} constants that any of them changed moved the same way in all.")
    tested = [g for facts in nights if (g := facts.estimate("test")) is not None and g.low is not None and g.high is not None]
    if len(tested) > 1:
        low, high = max(g.low for g in tested if g.low is not None), min(g.high for g in tested if g.high is not None)
        said.append(
            "The gains on test agree: all of their 95\u202f% intervals overlap."
            if low <= high
            else "The gains on test do not agree: their 95\u202f% intervals do not all overlap."
        )
    return said


def _summary(nights: list[Facts]) -> dict[str, Any]:
    """The best confirmed night of a class, else its latest with a winner, else its latest."""

    def near_end(facts: Facts) -> float:
        gain = facts.estimate("test")
        return min(abs(gain.low), abs(gain.high)) if gain and gain.holds and gain.low is not None and gain.high is not None else -1.0

    best = max(nights, key=lambda f: (near_end(f), f.winner is not None, f.plan.started_at))
    profile = best.plan.profile
    row: dict[str, Any] = {
        "title": best.plan.device.name,
        "task": f"{best.plan.task.name}, {best.plan.preset_name}",
        "rate": profile.peak_flops,
        "rate_text": numbers.scaled(profile.peak_flops, "FLOP/s"),
        "bandwidth": numbers.scaled(profile.bandwidth_bytes_per_s, "B/s"),
        "usable": numbers.scaled(profile.usable_memory_bytes, "B"),
        "night_id": best.plan.night_id,
        "said": _gain(best)[1],
        "seen": {},
    }
    for role in ("progress", "size", "memory", "efficiency"):
        seen = observed(best, role)
        if seen is not None and seen[3] is not None:
            row["seen"][seen[0]] = (
                numbers.quantity(seen[3], seen[1] if numbers.formats(seen[1]) else ""),
                seen[3],
                numbers.ratio(seen[3], seen[2]),
            )
    after = configuration.configurations(best)[1]
    for name, spec in best.plan.task.constants.items():
        value = after.get(name)
        if spec.size and value is not None:
            row["seen"][name] = (
                numbers.literal(value),
                float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None,
                "",
            )
    return row


def _pictures(rows: list[dict[str, Any]]) -> list[Picture]:
    placed = [r for r in rows if r["rate"]]
    if len(placed) < 2:
        return []
    rates = [r["rate"] for r in placed]
    x = Scale(min(rates) / 2, max(rates) * 2, 60, 390, log=True)
    pictures = []
    for name in dict.fromkeys(k for r in placed for k in r["seen"]):
        points = [(r, r["seen"][name][1], r["seen"][name][0]) for r in placed if name in r["seen"]]
        values = [v for _, v, _ in points if v is not None and v > 0 and math.isfinite(v)]
        if len(values) < 2 or len(values) < len(points):
            continue
        y = Scale(min(values) / 2, max(values) * 2, 170, 14, log=True)
        dots = [
            Dot(px(x.at(r["rate"])), px(y.at(v)), r["title"], "end" if x.at(r["rate"]) > 225 else "start", f"{r['title']}: {text}")
            for r, v, text in points
            if v is not None
        ]
        bytes_of = any(text.endswith("B") for *_, text in points)
        pictures.append(Picture(name, dots, decades(x, "FLOP/s"), log_ticks(y, "B" if bytes_of else ""), "; ".join(d.label for d in dots)))
    return pictures[:6]
