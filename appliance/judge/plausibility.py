"""Why a run cannot be what it says: claims beyond what the device or the clock allows, a score beyond what anybody reaches.

Claims decide nothing, so a lie here wins nothing, and a false alarm would cost an honest idea: the limits are what *no* program does, not
what is usual, and a limit that the host does not know is not held against anybody. What a limit means for a task stands in its
`[plausible]` table; this module knows only the host's side of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.records import Metric, Plausible, Profile, Score, Task
from appliance.records.task import PlausibleLimit

CLOCK_SLACK = 1.05
"""The run's own clock starts when it reads the grant, the host's when it writes it, and neither at the same instant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """One reason not to believe a run."""

    name: str
    """Goes into `Run.suspicious`."""
    detail: str
    """For people, with the numbers."""


def doubts(
    task: Task,
    profile: Profile,
    budget_s: float | None,
    claims: Mapping[str, float],
    curve: Sequence[tuple[float, float, float]],
    scores: Sequence[Score],
) -> list[Doubt]:
    """Every reason not to believe a run; empty for an honest one.

    budget_s: granted by the host. claims: the run's observables. curve: (seconds, step, value), as claimed.
    """
    clock_s = None if budget_s is None else budget_s + task.clock.finish_cap_s
    return [
        *_claims(task.plausible, claims, limits(profile, clock_s)),
        *_curve(curve, clock_s),
        *_scores(task.metric, scores),
    ]


def limits(profile: Profile, clock_s: float | None) -> dict[PlausibleLimit, float | None]:
    """What the host knows of the most that a run could do; None where it does not.

    flops: of all that the probe measured and the datasheet states, the fastest: a run may use types of number that the peak is not of.
    """
    measurement, sheet = profile.measurement, profile.datasheet
    rates = [profile.peak_flops, *(rate.flops for rate in (measurement.matrix if measurement else []))]
    rates += [value.value for name, value in (sheet.values if sheet else {}).items() if name.endswith("_flops")]
    overhead = measurement.launch_overhead_s if measurement else None
    return {
        "clock_s": clock_s,
        "flops": max((rate for rate in rates if rate), default=None),
        "launches_per_s": 1 / overhead if overhead else None,
    }


def _claims(plausible: Mapping[str, Plausible], claims: Mapping[str, float], known: Mapping[PlausibleLimit, float | None]) -> list[Doubt]:
    """Rows of the table that the claims go beyond. A claim that was not made and a limit that is not known leave a row silent."""
    found = []
    for name, row in plausible.items():
        made = [claims[claim] for claim in row.claims if claim in claims]
        most = [limit for limit in (known[limit] for limit in row.limits) if limit is not None]
        if len(made) < len(row.claims) or len(most) < len(row.limits):
            continue
        claimed, limit = math.prod(made), row.times * math.prod(most)
        if claimed > limit:
            detail = (
                f"{' × '.join(row.claims)} is {claimed:.3g}, at most {limit:.3g} ({row.times:g} × {' × '.join(row.limits)}) is possible"
            )
            found.append(Doubt(name=name, detail=detail))
    return found


def _curve(curve: Sequence[tuple[float, float, float]], clock_s: float | None) -> list[Doubt]:
    latest = max((seconds for seconds, _, _ in curve), default=0.0)
    if clock_s is None or latest <= CLOCK_SLACK * clock_s:
        return []
    return [Doubt(name="curve_beyond_clock", detail=f"the curve goes on to {latest:.3g} s, the run had {clock_s:.3g} s")]


def _scores(metric: Metric, scores: Sequence[Score]) -> list[Doubt]:
    floor, lower = metric.plausible_floor, metric.direction == "lower"
    beyond = [s.score for s in scores if floor is not None and (s.score < floor if lower else s.score > floor)]
    if not beyond:
        return []
    best = min(beyond) if lower else max(beyond)
    return [Doubt(name="score_beyond_floor", detail=f"{metric.name} is {best:.4g}, beyond {floor:g}")]
