"""What this hardware wants: the discovered configuration beside the reference, and what each reveals about itself."""

from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.records import Run
from appliance.records.task import Constant
from appliance.report import numbers, reading
from appliance.report.facts import Facts
from appliance.report.literals import constants_of
from appliance.report.observed import named, pair
from appliance.report.reading import Reading


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison."""

    label: str
    note: str
    before: str
    after: str
    ratio: str
    changed: bool
    unit: str = ""
    """Where it stands beside the label, not beside the numbers."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The section."""

    before_title: str
    after_title: str
    has_winner: bool
    constants: list[Row] = field(default_factory=list)
    unchanged: list[Row] = field(default_factory=list)
    observables: list[Row] = field(default_factory=list)
    reading: Reading = Reading("", [])  # noqa: RUF009  frozen


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
        reading=reading.of(facts),
    )


def configurations(facts: Facts) -> tuple[dict[str, Constant], dict[str, Constant]]:
    """Constants of the baseline and of the winner, from their texts; the preset's where the baseline's text is not at hand."""
    assets = facts.night.assets
    baseline = constants_of(assets.get(facts.plan.baseline_sha256, {})) or dict(facts.plan.preset.constants)
    if facts.winner is None:
        return baseline, dict(baseline)
    winner = constants_of(assets.get(facts.winner.asset_sha256, {}))
    return (baseline, winner) if winner else (baseline, dict(baseline))


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


def _observables(facts: Facts) -> list[Row]:
    rows = []
    for name, spec in facts.plan.task.observables.items():
        before, after = named(facts, name)
        if before is not None or after is not None:
            rows.append(_row(facts, spec.label, "Claimed by the run", before, after, spec.unit))
    host: list[tuple[str, str, Callable[[Run], float | None]]] = [
        ("Peak memory of the sandbox", "bytes", lambda r: r.telemetry.peak_memory_bytes),
        ("Mean power", "W", lambda r: r.telemetry.power_w_mean),
        ("Start-up", "s", lambda r: r.startup_s),
    ]
    for label, unit, get in host:
        before, after = pair(facts, get)
        if before is not None or after is not None:
            rows.append(_row(facts, label, "Measured by the host", before, after, unit))
    return rows


def _row(facts: Facts, label: str, note: str, before: float | None, after: float | None, unit: str) -> Row:
    times = numbers.ratio(after, before) if facts.winner else ""
    apart = "" if numbers.formats(unit) or unit.lower() in label.lower().split() else unit
    shown = unit if numbers.formats(unit) else ""
    return Row(label, note, numbers.quantity(before, shown), numbers.quantity(after, shown), times, times not in {"same", ""}, apart)
