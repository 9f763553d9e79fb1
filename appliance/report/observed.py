"""What runs reveal about themselves, by the roles that the task gives its observables."""

import statistics
from collections.abc import Callable

from appliance.records import Run
from appliance.report import numbers
from appliance.report.facts import Facts


def _mean(runs: list[Run], get: Callable[[Run], float | None]) -> float | None:
    values = [v for r in runs if (v := get(r)) is not None and numbers.known(v)]
    return statistics.fmean(values) if values else None


def pair(facts: Facts, get: Callable[[Run], float | None]) -> tuple[float | None, float | None]:
    """Means over the baseline's ok runs and over the winner's."""
    return _mean([r for r in facts.baseline_runs if r.status == "ok"], get), _mean(facts.winner_runs, get)


def named(facts: Facts, name: str) -> tuple[float | None, float | None]:
    """Means of one observable."""
    return pair(facts, lambda run: run.observables.get(name))


def observed(facts: Facts, role: str) -> tuple[str, str, float | None, float | None] | None:
    """(label, unit, baseline, winner) of the first observable with this role that a run reported; efficiency: more is better."""
    for name, spec in facts.plan.task.observables.items():
        if spec.role == role and not (role == "efficiency" and spec.better == "lower"):
            before, after = named(facts, name)
            if before is not None or after is not None:
                return spec.label, spec.unit, before, after
    return None


def share(value: float | None, unit: str) -> float | None:
    """An efficiency as a share, whether the task gives shares or per cent."""
    if value is None:
        return None
    return value / 100 if unit.strip() in {"%", "percent"} else value
