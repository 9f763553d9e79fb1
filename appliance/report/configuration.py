"""What this hardware wants: the discovered configuration beside the reference, what each reveals about itself, and a plain reading of why.

Roles of observables (progress, size, memory, efficiency) come from the task. The reading is a reading: it names the rule it follows.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.records import Run
from appliance.records.task import Constant
from appliance.report import numbers
from appliance.report.facts import Facts
from appliance.report.literals import constants_of


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison."""

    label: str
    note: str
    before: str
    after: str
    ratio: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """Why, in words."""

    headline: str
    sentences: list[str]


@dataclass(frozen=True, slots=True)
class Configuration:
    """The section."""

    before_title: str
    after_title: str
    has_winner: bool
    constants: list[Row] = field(default_factory=list)
    unchanged: list[Row] = field(default_factory=list)
    observables: list[Row] = field(default_factory=list)
    reading: Reading = Reading("", [])


def build(facts: Facts) -> Configuration:
    """The section for one night."""
    reference, found = configurations(facts)
    rows = [_constant(facts, name, reference.get(name), found.get(name)) for name in _ordered(facts, {**reference, **found})]
    return Configuration(
        before_title="Started from" if facts.plan.parent_night else "Reference",
        after_title="Discovered" if facts.winner else "Unchanged",
        has_winner=facts.winner is not None,
        constants=[r for r in rows if r.changed],
        unchanged=[r for r in rows if not r.changed],
        observables=_observables(facts),
        reading=_reading(facts),
    )


def configurations(facts: Facts) -> tuple[dict[str, Constant], dict[str, Constant]]:
    """Constants of the baseline and of the winner, from their texts; the preset's where a text is not at hand."""
    assets = facts.night.assets
    baseline = {**constants_of(assets.get(facts.plan.baseline_sha256, {}))} or dict(facts.plan.preset.constants)
    sha = facts.winner.asset_sha256 if facts.winner else facts.plan.baseline_sha256
    return baseline, constants_of(assets.get(sha, {})) if facts.winner else dict(baseline)


def _ordered(facts: Facts, names: dict[str, Constant]) -> list[str]:
    known = [n for n in facts.plan.task.constants if n in names]
    sized = [n for n in known if facts.plan.task.constants[n].size]
    return sized + [n for n in known if n not in sized] + sorted(n for n in names if n not in facts.plan.task.constants)


def _constant(facts: Facts, name: str, before: Constant | None, after: Constant | None) -> Row:
    spec = facts.plan.task.constants.get(name)
    both = [v for v in (before, after) if isinstance(v, int | float) and not isinstance(v, bool)]
    ratio = numbers.ratio(both[1], both[0]) if len(both) == 2 and before != after else ""
    texts = [numbers.literal(v) if v is not None else numbers.UNKNOWN for v in (before, after)]
    return Row(name, spec.unit if spec else "", texts[0], texts[1], "" if ratio in {"same", numbers.UNKNOWN} else ratio, before != after)


def _mean(runs: list[Run], get: Callable[[Run], float | None]) -> float | None:
    values = [v for r in runs if (v := get(r)) is not None and numbers.known(v)]
    return statistics.fmean(values) if values else None


def _pair(facts: Facts, get: Callable[[Run], float | None]) -> tuple[float | None, float | None]:
    return _mean([r for r in facts.baseline_runs if r.status == "ok"], get), _mean(facts.winner_runs, get)


def observed(facts: Facts, role: str) -> tuple[str, str, float | None, float | None] | None:
    """(label, unit, baseline, winner) of the first observable with this role that any run reported; efficiency means the more the better."""
    for name, spec in facts.plan.task.observables.items():
        if spec.role == role and not (role == "efficiency" and spec.better == "lower"):
            before, after = _pair(facts, lambda r, n=name: r.observables.get(n))  # type: ignore[misc]
            if before is not None or after is not None:
                return spec.label, spec.unit, before, after
    return None


def _observables(facts: Facts) -> list[Row]:
    rows = []
    for name, spec in facts.plan.task.observables.items():
        before, after = _pair(facts, lambda r, n=name: r.observables.get(n))  # type: ignore[misc]
        if before is None and after is None:
            continue
        rows.append(_row(facts, spec.label, "claimed by the run", before, after, spec.unit))
    host: list[tuple[str, str, Callable[[Run], float | None]]] = [
        ("Peak memory of the sandbox", "bytes", lambda r: r.telemetry.peak_memory_bytes),
        ("Mean power", "W", lambda r: r.telemetry.power_w_mean),
        ("Start-up", "s", lambda r: r.startup_s),
    ]
    for label, unit, get in host:
        before, after = _pair(facts, get)
        if before is not None or after is not None:
            rows.append(_row(facts, label, "measured by the host", before, after, unit))
    return rows


def _row(facts: Facts, label: str, note: str, before: float | None, after: float | None, unit: str) -> Row:
    times = numbers.ratio(after, before) if facts.winner else ""
    unit = "" if unit.lower() in label.lower() else unit
    return Row(label, note, numbers.quantity(before, unit), numbers.quantity(after, unit), times, times not in {"same", ""})


def share(value: float | None, unit: str) -> float | None:
    """An efficiency as a share, whether the task gives shares or per cent."""
    if value is None:
        return None
    return value / 100 if unit.strip() in {"%", "percent"} else value


def _reading(facts: Facts) -> Reading:
    """Rules, in order: the reference nearly filled memory; progress grew by half or more; the winner comes near the matrix rate; else none seen."""
    if facts.winner is None:
        return Reading("", [])
    progress, size, memory, efficiency = (observed(facts, role) for role in ("progress", "size", "memory", "efficiency"))
    budget = numbers.duration(facts.plan.preset.budget_s)
    heads: list[str] = []
    said: list[str] = []
    usable = facts.plan.profile.usable_memory_bytes or facts.plan.device.memory_usable_bytes
    if memory and memory[2] and usable and memory[2] / usable > 0.85:
        heads.append("Memory-limited")
        said.append(f"The reference filled {numbers.percent(memory[2] / usable)} of what this device can give; the winner stays inside it.")
    if progress and progress[2] and progress[3]:
        times = progress[3] / progress[2]
        label = progress[0].lower()
        before, after = (numbers.quantity(v, progress[1] if progress[1] != label else "") for v in progress[2:])
        if times >= 1.5:
            heads.append("Step-limited")
            shrunk = bool(size and size[2] and size[3] and size[3] < 0.8 * size[2])
            said.append(
                f"In {budget} the reference gets through {before} ({label}), the winner through {after}: {numbers.ratio(progress[3], progress[2])} as many."
                + (
                    f" It pays for them with a smaller model ({size[0].lower()} {numbers.ratio(size[3], size[2])})."
                    if shrunk and size
                    else ""
                )
                + " On this hardware, learning more often in the same time beats a larger configuration that learns rarely."
            )
        elif times <= 0.67:
            heads.append("Room to grow")
            said.append(
                f"The winner takes fewer, larger steps: {after} ({label}) where the reference took {before}. This device had rate to spare."
            )
    said += _roof(facts, efficiency, heads)
    if memory and memory[3] and usable and "Memory-limited" not in heads:
        said.append(
            f"Memory is not what limits it: the winner holds {numbers.quantity(memory[3], memory[1])} of {numbers.scaled(usable, 'B')} usable "
            f"({numbers.percent(memory[3] / usable)})."
        )
    return Reading(", ".join(heads).capitalize() or "No single limit seen", said)


def _roof(facts: Facts, efficiency: tuple[str, str, float | None, float | None] | None, heads: list[str]) -> list[str]:
    profile = facts.plan.profile
    if efficiency is None or efficiency[3] is None:
        return []
    label, unit, before, after = efficiency
    old, new = share(before, unit), share(after, unit)
    if new is None:
        return []
    peak = f" of the {numbers.scaled(profile.peak_flops, 'FLOP/s')} measured" if profile.peak_flops else ""
    if new >= 0.4:
        heads.append("Rate-limited")
        return [f"It works at {numbers.percent(new)}{peak}: close to the roof, so only less arithmetic per step would make it faster."]
    if old is not None and new < 0.8 * old:
        heads.append("Bandwidth- and overhead-limited")
        return [
            f"{label} falls from {numbers.percent(old)} to {numbers.percent(new)}{peak}: the smaller operations wait on memory bandwidth and on launches, "
            "not on the matrix units, and it wins all the same."
        ]
    if old is not None and new > 1.2 * old:
        return [f"{label} rises from {numbers.percent(old)} to {numbers.percent(new)}{peak}."]
    return [f"{label} stays near {numbers.percent(new)}{peak}: far under the matrix roof, so bandwidth or per-step overhead is the limit."]
