"""Where the night went: by what the device did, by what the runs were for, and how many runs there was room for."""

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from appliance.records import Run
from appliance.report import numbers
from appliance.report.facts import Facts


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of a bar."""

    name: str
    kind: str
    """Class of the stretch; decides its pattern."""
    seconds: float
    time: str
    share: str
    x: str
    width: str


@dataclass(frozen=True, slots=True)
class Clock:
    """The section."""

    total: str = numbers.UNKNOWN
    activity: list[Part] = field(default_factory=list)
    purpose: list[Part] = field(default_factory=list)
    phases: list[tuple[str, str]] = field(default_factory=list)
    counts: str = ""
    overlap: bool = False
    of_a_run: list[Part] = field(default_factory=list)
    """One run in the order of its phases: medians of the runs that were scored once."""
    of_a_run_title: str = ""
    later: str = ""
    """What came after the night, in a sentence."""


_PHASES: Final = {
    "create": ("Sandbox made", "startup"),
    "import": ("Imports, before the asset's own code", "startup"),
    "startup": ("The asset sets itself up", "startup"),
    "mark": ("Checks before the budget begins", "other"),
    "budget": ("The budget: the asset trains", "busy"),
    "finish": ("Beyond the budget, to hand over", "finish"),
    "collect": ("Artifact copied, sandbox removed", "other"),
    "check": ("Checks of the artifact", "other"),
    "standby": ("The next run's sandbox made", "other"),
    "evaluate": ("Evaluation", "evaluate"),
}
"""Phase of `Run.phases` → what a reader is told it is, and the part of the night that it belongs to. With sandboxes that stand by, the
imports are over before a run begins, and the evaluation's sandbox is made with the run's own."""
_PURPOSES: Final = {
    "calibration": "Calibration",
    "screen": "Screening",
    "replicate": "Repeats with fresh seeds",
    "rebaseline": "Reference again",
    "confirm": "Confirmation",
    "attribute": "Attribution",
    "lost": "Lost: failed, rejected, invalid, interrupted",
}


def run_seconds(run: Run) -> dict[str, float]:
    """The parts of one run; what no part accounts for is `other`."""
    if run.phases:
        sums = dict.fromkeys(("startup", "busy", "finish", "evaluate", "other"), 0.0)
        for phase, seconds in run.phases.items():
            sums[_PHASES[phase][1] if phase in _PHASES else "other"] += seconds
        return sums
    parts = {
        "startup": (run.create_s or 0.0) + (run.startup_s or 0.0),
        "busy": run.budget_s or 0.0,
        "finish": run.finish_s or 0.0,
        "evaluate": run.evaluate_s or 0.0,
    }
    if run.status != "ok" and run.wall_s is not None:
        parts["busy"] = min(parts["busy"], max(0.0, run.wall_s - parts["startup"]))
    parts["other"] = max(0.0, (run.wall_s or 0.0) - sum(parts.values()))
    return parts


def build(facts: Facts) -> Clock:
    """The section for one night."""
    sums = {"busy": 0.0, "startup": 0.0, "evaluate": 0.0, "finish": 0.0, "other": 0.0}
    purpose: dict[str, float] = {}
    for run in facts.own:
        parts = run_seconds(run)
        for name, seconds in parts.items():
            sums[name] += seconds
        key = "lost" if run.status != "ok" else run.kind
        purpose[key] = purpose.get(key, 0.0) + sum(parts.values())
    inside = sum(sums.values())
    elapsed = facts.elapsed_s or 0.0
    waiting = max(0.0, elapsed - inside)
    total = max(elapsed, inside)
    if facts.plan.imported and facts.own:
        return Clock(
            counts=_tried(facts) + (f", {numbers.duration(inside)} in all" if inside else "") + "; what their time went into is not told."
        )
    if total <= 0:
        return Clock(phases=_phases(facts))
    activity = _bar(
        [
            ("Device busy (the granted budgets)", "busy", sums["busy"]),
            ("Starting up: sandbox, imports, asset", "startup", sums["startup"]),
            ("Evaluation", "evaluate", sums["evaluate"]),
            ("Checking, copying, cleaning up", "finish", sums["finish"] + sums["other"]),
            ("Between runs: proposing, judging, waiting", "waiting", waiting),
        ],
        total,
    )
    scored_once = [r for r in facts.own if r.status == "ok" and len(r.scores) == 1 and r.phases]
    return Clock(
        total=numbers.duration(total),
        activity=activity,
        purpose=_bar([(_PURPOSES[k], k, purpose[k]) for k in _PURPOSES if k in purpose], max(inside, 1e-9)),
        phases=_phases(facts),
        counts=_counts(facts, elapsed),
        overlap=inside > elapsed * 1.02 > 0,
        of_a_run=_of_a_run(scored_once),
        of_a_run_title=f"What one run goes through, by the medians of {numbers.plural(len(scored_once), 'run')}",
        later=_later(facts),
    )


def _bar(parts: list[tuple[str, str, float]], total: float) -> list[Part]:
    found, at = [], 0.0
    for name, kind, seconds in parts:
        if seconds <= 0:
            continue
        found.append(
            Part(
                name,
                kind,
                seconds,
                numbers.duration(seconds),
                numbers.percent(seconds / total),
                f"{at:.2f}",
                f"{seconds / total * 100:.2f}",
            )
        )
        at += seconds / total * 100
    return found


def _phases(facts: Facts) -> list[tuple[str, str]]:
    spent = [(name, seconds) for name, seconds in facts.state.clock.items() if seconds >= 1]
    return [(name.replace("_", " ").removesuffix(" s"), numbers.duration(seconds)) for name, seconds in spent]


def _counts(facts: Facts, elapsed: float) -> str:
    costs = [sum(run_seconds(r).values()) for r in facts.own if r.kind == "calibration" and r.status == "ok"]
    costs = costs or [sum(run_seconds(r).values()) for r in facts.own if r.status == "ok"]
    tried = _tried(facts)
    if not costs or not elapsed or statistics.median(costs) <= 0:
        return tried + "."
    cost = statistics.median(costs)
    room = int(elapsed // cost)
    return (
        f"{tried}. At {numbers.duration(cost)} each, as calibrated, {numbers.plural(room, 'run')} back to back would have fitted into "
        f"{numbers.duration(elapsed)}."
    )


def _of_a_run(runs: list[Run]) -> list[Part]:
    if not runs:
        return []
    medians = {phase: statistics.median(r.phases.get(phase, 0.0) for r in runs) for phase in _PHASES}
    parts = [(name, "finish" if part == "other" else part, medians[phase]) for phase, (name, part) in _PHASES.items()]
    return _bar(parts, max(sum(medians.values()), 1e-9))


def _later(facts: Facts) -> str:
    kinds = Counter[str](r.kind for r in facts.later)
    if not kinds:
        return ""
    said = " and ".join(f"{numbers.plural(kinds[k], 'run')} of {_PURPOSES[k].lower()}" for k in _PURPOSES if kinds[k])
    seconds = sum(sum(run_seconds(r).values()) for r in facts.later)
    return f"Not counted here, because they came after the night: {said}, {numbers.duration(seconds)} in all."


def _tried(facts: Facts) -> str:
    return f"{numbers.plural(len(facts.experiments), 'experiment')} from {numbers.plural(len(facts.own), 'run')}"
