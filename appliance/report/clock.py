"""Where the night went: by what the device did, by what the runs were for, and how many runs there was room for."""

import statistics
from dataclasses import dataclass, field

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


_PART_OF_PHASE = {
    "create": "startup",
    "import": "startup",
    "startup": "startup",
    "budget": "busy",
    "finish": "finish",
    "evaluate": "evaluate",
}


def run_seconds(run: Run) -> dict[str, float]:
    """The parts of one run; what no part accounts for is `other`."""
    if run.phases:
        sums = dict.fromkeys(("startup", "busy", "finish", "evaluate", "other"), 0.0)
        for phase, seconds in run.phases.items():
            sums[_PART_OF_PHASE.get(phase, "other")] += seconds
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
    for run in facts.runs:
        parts = run_seconds(run)
        for name, seconds in parts.items():
            sums[name] += seconds
        key = "lost" if run.status != "ok" else run.kind
        purpose[key] = purpose.get(key, 0.0) + sum(parts.values())
    inside = sum(sums.values())
    elapsed = facts.elapsed_s or 0.0
    waiting = max(0.0, elapsed - inside)
    total = max(elapsed, inside)
    if facts.plan.imported and facts.runs:
        return Clock(
            counts=_tried(facts) + (f", {numbers.duration(inside)} in all" if inside else "") + "; what their time went into is not told."
        )
    if total <= 0:
        return Clock(phases=_phases(facts))
    activity = _bar(
        [
            ("Device busy (the granted budgets)", "busy", sums["busy"]),
            ("Start-up of sandboxes", "startup", sums["startup"]),
            ("Evaluation", "evaluate", sums["evaluate"]),
            ("Handing over, copying, removing", "finish", sums["finish"] + sums["other"]),
            ("Waiting: proposals, judging, preparation", "waiting", waiting),
        ],
        total,
    )
    names = {
        "calibration": "Calibration",
        "screen": "Screening",
        "replicate": "Repeats with fresh seeds",
        "rebaseline": "Baseline again",
        "confirm": "Confirmation",
        "attribute": "Attribution",
        "lost": "Lost: failed, rejected, invalid, interrupted",
    }
    return Clock(
        numbers.duration(total),
        activity,
        _bar([(names[k], k, purpose[k]) for k in names if k in purpose], max(inside, 1e-9)),
        _phases(facts),
        _counts(facts, elapsed),
        inside > elapsed * 1.02 > 0,
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
    return [(name.replace("_", " ").removesuffix(" s"), numbers.duration(seconds)) for name, seconds in facts.state.clock.items()]


def _counts(facts: Facts, elapsed: float) -> str:
    costs = [sum(run_seconds(r).values()) for r in facts.runs if r.kind == "calibration" and r.status == "ok"]
    costs = costs or [sum(run_seconds(r).values()) for r in facts.runs if r.status == "ok"]
    tried = _tried(facts)
    if not costs or not elapsed or statistics.median(costs) <= 0:
        return tried + "."
    cost = statistics.median(costs)
    room = int(elapsed // cost)
    return (
        f"{tried}. At the calibrated {numbers.duration(cost)} a run there was room for {numbers.plural(room, 'run')} back to back "
        f"in {numbers.duration(elapsed)}.{_phases_of_a_run(facts)}"
    )


def _phases_of_a_run(facts: Facts) -> str:
    """Medians over the runs that were scored once, as a sentence; "" where no run recorded them."""
    runs = [r for r in facts.runs if r.status == "ok" and len(r.scores) == 1 and r.phases]
    if not runs:
        return ""
    medians = {phase: statistics.median(r.phases.get(phase, 0.0) for r in runs) for phase in runs[0].phases}
    return " Of a run, by phase: " + ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in medians.items()) + "."


def _tried(facts: Facts) -> str:
    return f"{numbers.plural(len(facts.experiments), 'experiment')} from {numbers.plural(len(facts.runs), 'run')}"
