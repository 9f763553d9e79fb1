"""The staircase: every run of a night on its clock, the level of the best so far, and the band that one run's noise makes around it.

Runs far worse than the baseline stand at the edge, marked so; runs without a score (failed, rejected, invalid) in a lane of
their own below: nothing that happened in the night is left out of the picture. What was run after it is counted beside it.
"""

from dataclasses import dataclass, field
from typing import Final

from appliance.records import Reason, Run
from appliance.report import numbers
from appliance.report.charts import Scale, Tick, path, px, ticks
from appliance.report.facts import KEPT, Facts

WIDTH: Final = 960
HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM, _LANE = 62, 944, 18, 316, 348
_CLOCK: Final = "since the start"


@dataclass(frozen=True, slots=True)
class Mark:
    """One run."""

    shape: str
    """Id of the symbol: kept or single (an experiment), or, of a run, what `shape_of` says."""
    x: str
    y: str
    experiment: int
    title: str


@dataclass(frozen=True, slots=True)
class Staircase:
    """All that the macro draws."""

    marks: list[Mark] = field(default_factory=list)
    steps: str = ""
    band: str = ""
    x_ticks: list[Tick] = field(default_factory=list)
    y_ticks: list[Tick] = field(default_factory=list)
    x_title: str = ""
    y_title: str = ""
    baseline_y: str | None = None
    winner: tuple[str, str, str] | None = None
    """x, y, label."""
    labels: list[tuple[str, str, str]] = field(default_factory=list)
    """x, y, number of kept experiments where there is room for one."""
    cuts: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    clipped: int = 0
    later: int = 0
    """Runs that came after the night."""
    text: str = ""
    """What the picture says, for who cannot see it."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _BOTTOM
    lane: int = _LANE


def shape_of(facts: Facts, run: Run) -> str:
    """Which mark a run gets: what became of it, then of its experiment."""
    if run.status == "invalid":
        return "suspicious" if run.reason == Reason.SUSPICIOUS else "invalid"
    if run.status != "ok" or not numbers.known(run.score):
        return "failed"
    if run.kind == "confirm":
        return "confirm"
    if run.experiment == 0 or run.kind in {"calibration", "rebaseline"}:
        return "base"
    experiment = facts.by_number.get(run.experiment)
    if experiment is not None and experiment.verdict in KEPT:
        if facts.plan.imported:
            return "single"
        return "promising" if run.kind == "screen" else "again" if run.for_experiment not in (None, run.experiment) else "fresh"
    level = facts.baseline.mean if facts.baseline else None
    if experiment is not None and len(facts.runs_of.get(run.experiment, [])) > 1 and level is not None and run.kind == "screen":
        return "promising"
    return "plain"


def search_score(run: Run) -> float | None:
    """The score on the split of the search: a confirmation run's `val`, else what the verdict used."""
    if run.kind == "confirm":
        found = [s.score for s in run.scores if s.split == "val"]
        return found[0] if found and numbers.known(found[0]) else None
    return run.score if numbers.known(run.score) else None


def build(facts: Facts) -> Staircase:
    """The geometry of the picture; empty where no run was recorded."""
    runs = [r for r in facts.own if not (r.kind == "confirm" and r.status == "ok" and search_score(r) is None)]
    if not runs:
        return Staircase(text="No run was recorded.")
    place, x, x_ticks, x_title = _time(facts, runs)
    scores = [s for r in runs if (s := search_score(r)) is not None and r.status == "ok"]
    low, high, clipped = _range(facts, scores)
    y = Scale(low, high, _BOTTOM - 6, _TOP + 4)
    marks: list[Mark] = []
    counts: dict[str, int] = {}
    for run in runs:
        shape = shape_of(facts, run)
        if shape == "single":
            continue
        counts[shape] = counts.get(shape, 0) + 1
        score = search_score(run)
        inside = score is not None and run.status in {"ok", "invalid"}
        at = y.at(score) if inside and score is not None else float(_LANE)
        what = numbers.significant(score, 5) if inside else str(run.reason or run.status)
        marks.append(Mark(shape, px(x.at(place[run.run])), px(at), run.experiment, f"{run.experiment} {run.kind} {what}"))
    order = ("plain", "again", "base", "confirm", "invalid", "suspicious", "failed", "promising", "fresh")
    marks.sort(key=lambda m: order.index(m.shape))
    levels = _levels(facts, place)
    steps, band = _stairs(facts, levels, x, y)
    labels: list[tuple[str, str, str]] = []
    room = -100.0
    for at, level, number in levels:
        if not number:
            continue
        marks.append(
            Mark(
                "single" if facts.plan.imported else "kept",
                px(x.at(at)),
                px(y.at(level)),
                number,
                f"{number} kept {numbers.significant(level, 5)}",
            )
        )
        if x.at(at) - room > 24:
            labels.append((px(x.at(at)), px(y.at(level)), str(number)))
            room = x.at(at)
    counts["single" if facts.plan.imported else "kept"] = len([1 for *_, number in levels if number])
    winner = None
    if facts.winner and levels:
        level = levels[-1][1]
        winner = (px(x.at(levels[-1][0])), px(y.at(level)), numbers.significant(level, 5))
    return Staircase(
        marks=marks,
        steps=steps,
        band=band,
        x_ticks=x_ticks,
        y_ticks=ticks(y),
        x_title=x_title,
        y_title=f"{facts.metric_label}{_unit(facts)}, {'lower' if facts.lower else 'higher'} is better",
        baseline_y=px(y.at(facts.baseline.mean)) if facts.baseline else None,
        winner=winner,
        counts=counts,
        labels=labels,
        clipped=clipped,
        later=len(facts.later),
        cuts=_cuts(facts, x) if _CLOCK in x_title else [],
        text=_text(facts, len(runs), counts, clipped),
    )


def _unit(facts: Facts) -> str:
    unit = facts.metric.unit
    return f" ({unit})" if unit and unit.replace("/", " per ").replace("bits", "bits").lower() not in facts.metric_label.lower() else ""


def _time(facts: Facts, runs: list[Run]) -> tuple[dict[int, float], Scale, list[Tick], str]:
    """Hours on the night's clock. A run that was interrupted may not tell when it began: then it stands where the one before it does."""
    timed = [r for r in runs if r.status != "interrupted"]
    hours = {r.run: seconds / 3600 for r in timed if (seconds := facts.clock_at(r.started_at)) is not None}
    if hours and len(hours) == len(timed) and max(hours.values()) - min(hours.values()) > 1e-4 and min(hours.values()) >= 0:
        last = 0.0
        for run in runs:
            last = hours.setdefault(run.run, max(last, (facts.clock_at(run.started_at) or 0.0) / 3600))
        end = max(max(hours.values()), (facts.elapsed_s or 0) / 3600)
        scale = Scale(0, end * 1.01, _LEFT + 8, _RIGHT - 10)
        if end < 0.8:
            minutes = Scale(0, scale.high * 60, scale.start, scale.end)
            return hours, scale, ticks(minutes, 8), f"minutes {_CLOCK}"
        return hours, scale, ticks(scale, 8), f"hours {_CLOCK}"
    order = {r.run: float(i + 1) for i, r in enumerate(runs)}
    scale = Scale(0, len(runs) + 1, _LEFT + 8, _RIGHT - 10)
    return order, scale, [t for t in ticks(scale, 8) if "." not in t.label], "runs in the order of the record"


def _range(facts: Facts, scores: list[float]) -> tuple[float, float, int]:
    """What the axis spans: all of the better side; on the worse side as far beyond the baseline as the gain goes, at least the noise."""
    if not scores:
        return 0.0, 1.0, 0
    best, worst = (min(scores), max(scores)) if facts.lower else (max(scores), min(scores))
    sd = facts.noise[0] if facts.noise else 0.0
    base = facts.baseline.mean if facts.baseline else sorted(scores)[len(scores) // 2]
    reach = max(abs(base - best) * 0.35, 6 * sd, abs(base) * 1e-4)
    edge = min(worst, base + reach) if facts.lower else max(worst, base - reach)
    pad = max(abs(edge - best) * 0.05, 2.2 * sd, abs(base) * 1e-6, 1e-12)
    low, high = (best - pad, edge + pad) if facts.lower else (edge - pad, best + pad)
    return low, high, sum(s > high or s < low for s in scores)


def _levels(facts: Facts, place: dict[int, float]) -> list[tuple[float, float, int]]:
    """(time, level, experiment) of the best so far, from the moment each verdict fell."""
    found: list[tuple[float, float, int]] = []
    base = facts.level(0)
    first = [place[r.run] for r in facts.baseline_runs if r.run in place]
    if base is not None and first:
        found.append((min(first), base, 0))
    for experiment in facts.experiments:
        if experiment.verdict not in KEPT or experiment.incumbent != experiment.experiment:
            continue
        level = facts.level(experiment.experiment)
        when = [place[r.run] for r in facts.counted(experiment) if r.run in place and (r.for_experiment in (None, experiment.experiment))]
        if level is not None and when:
            found.append((max(when), level, experiment.experiment))
    return sorted(found, key=lambda pair: pair[0])


def _stairs(facts: Facts, levels: list[tuple[float, float, int]], x: Scale, y: Scale) -> tuple[str, str]:
    if not levels:
        return "", ""
    corners: list[tuple[float, float]] = []
    for (at, level, _), until in zip(levels, [*(at for at, *_ in levels[1:]), x.high], strict=True):
        corners += [(at, level), (until, level)]
    steps = path([(x.at(a), y.at(b)) for a, b in corners])
    if not facts.noise:
        return steps, ""
    reach = 1.96 * facts.noise[0]
    upper = [(x.at(a), y.at(b + reach)) for a, b in corners]
    lower = [(x.at(a), y.at(b - reach)) for a, b in reversed(corners)]
    return steps, path(upper + lower) + "z"


def _cuts(facts: Facts, x: Scale) -> list[str]:
    return [px(x.at(seconds / 3600)) for cut in facts.state.cuts if (seconds := facts.clock_at(str(cut.get("at")))) is not None]


def _text(facts: Facts, runs: int, counts: dict[str, int], clipped: int) -> str:
    parts = [f"{numbers.plural(runs, 'run')} of {numbers.plural(len(facts.experiments), 'experiment')}."]
    if facts.baseline:
        parts.append(f"The reference scored {numbers.significant(facts.baseline.mean, 5)}.")
    for experiment in facts.lineage:
        level = facts.level(experiment.experiment)
        if level is not None:
            parts.append(f"Experiment {experiment.experiment} took it to {numbers.significant(level, 5)}.")
    for shape, word in (("invalid", "invalid"), ("suspicious", "suspicious"), ("failed", "without a score")):
        if counts.get(shape):
            parts.append(f"{numbers.plural(counts[shape], 'run')} {word}.")
    if clipped:
        parts.append(f"{numbers.plural(clipped, 'run')} beyond the edge of the picture.")
    return " ".join(parts)
