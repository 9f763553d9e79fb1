"""The table of all experiments: one row each, and what opens under it, sized so that the whole page stays within its budget.

A page may hold `PAGE_BYTES_EACH` per experiment. Winners' details are shown generously; where the rest would not fit, diffs and
logs are cut shorter, all alike, and each cut says how much is left out.
"""

import math
from dataclasses import dataclass
from typing import Final

from appliance.records import Experiment, Run
from appliance.report import numbers
from appliance.report.charts import Scale, path, thinned
from appliance.report.diffs import Block, blocks, changed_lines
from appliance.report.facts import KEPT, Facts

PAGE_BYTES: Final = 190_000
"""For the table of a night of up to 100 experiments."""
PAGE_BYTES_EACH: Final = 1_500
"""For each experiment beyond them."""
ROW_BYTES: Final = 780
"""What a row costs without its diff and log (measured)."""
CURVE_POINTS: Final = 24

LABELS: Final = {
    "kept": "kept",
    "kept_simpler": "kept, simpler",
    "within_noise": "within noise",
    "worse": "worse",
    "failed": "failed",
    "rejected": "rejected",
    "refused": "refused",
}
"""Verdict → how the page calls it. Also the order of sorting by verdict."""


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a row's details."""

    number: int
    kind: str
    status: str
    score: str
    note: str
    wall: str


@dataclass(frozen=True, slots=True)
class Row:
    """One experiment."""

    number: int
    verdict: str
    label: str
    rank: int
    difference: str
    span: str
    better: bool
    sort: str
    """Raw difference for sorting; empty where there is none."""
    runs: int
    hypothesis: str
    rest: str
    """The hypothesis beyond its first sentence."""
    parent: int
    agent: str
    predicted: str
    evidence: str
    reason: str
    cost: str
    lines: list[RunLine]
    curve: str
    diff: list[Block]
    diff_cut: int
    diff_size: str
    log: str
    log_cut: int


@dataclass(frozen=True, slots=True)
class Table:
    """The section."""

    rows: list[Row]
    counts: list[tuple[str, str, int]]
    """(verdict, label, how many), in order, those that occur."""
    reference_curve: str
    curve_span: str


def build(facts: Facts) -> Table:
    """All experiments in their order."""
    x, y = _curve_scales(facts)
    for_kept, for_others = _caps(facts)
    rows = [_row(facts, e, x, y, for_kept if e.verdict in KEPT else for_others) for e in facts.experiments]
    reference = next((r for r in facts.baseline_runs if r.status == "ok" and r.curve), None)
    counts = [(verdict, label, facts.verdicts[verdict]) for verdict, label in LABELS.items() if facts.verdicts[verdict]]
    span = f"{numbers.significant(y.low)} to {numbers.significant(y.high)} over {numbers.duration(x.high)}" if y.high > y.low else ""
    return Table(rows, counts, _curve(reference, x, y) if reference else "", span)


@dataclass(frozen=True, slots=True)
class _Caps:
    """Characters that a row may show."""

    diff: int
    log: int
    hypothesis: int


def _caps(facts: Facts) -> tuple[_Caps, _Caps]:
    """For kept experiments, and for the others: both as large as fits."""
    kept = [e for e in facts.experiments if e.verdict in KEPT]
    rest = [e for e in facts.experiments if e.verdict not in KEPT]
    n = len(facts.experiments)
    room = PAGE_BYTES + PAGE_BYTES_EACH * max(0, n - 100) - ROW_BYTES * n
    for_kept = _fitting(facts, kept, room * 0.4, _Caps(8000, 1600, 2400))
    return for_kept, _fitting(facts, rest, room - _size(facts, kept, for_kept), _Caps(3200, 900, 1200))


def _fitting(facts: Facts, experiments: list[Experiment], room: float, most: _Caps) -> _Caps:
    caps = most
    for scale in (1.0, 0.7, 0.5, 0.35, 0.25, 0.17, 0.12, 0.08, 0.05):
        caps = _Caps(max(160, int(most.diff * scale)), int(most.log * scale), max(150, int(most.hypothesis * scale)))
        if _size(facts, experiments, caps) <= room:
            return caps
    return _Caps(caps.diff, 0, caps.hypothesis)


def _size(facts: Facts, experiments: list[Experiment], caps: _Caps) -> int:
    return sum(
        min(len(e.diff), caps.diff) + min(_log_size(facts, e), caps.log) + min(len(e.hypothesis), caps.hypothesis) for e in experiments
    )


def _log_run(facts: Facts, experiment: Experiment) -> Run | None:
    runs = [r for r in facts.runs_of.get(experiment.experiment, []) if r.log_tail]
    bad = [r for r in runs if r.status != "ok"]
    return next(iter(bad or runs), None)


def _log_size(facts: Facts, experiment: Experiment) -> int:
    run = _log_run(facts, experiment)
    return len(run.log_tail) if run else 0


def _row(facts: Facts, e: Experiment, x: Scale, y: Scale, caps: _Caps) -> Row:
    runs = facts.runs_of.get(e.experiment, [])
    difference, span = numbers.with_interval(e.difference, e.interval_low, e.interval_high)
    shown, cut = blocks(e.diff, context=1, max_chars=caps.diff, words=False) if e.diff else ([], 0)
    added, removed = changed_lines(e.diff)
    log, log_cut = _tail(facts, e, caps.log)
    first, rest = _sentence(e.hypothesis, caps.hypothesis)
    curve_run = next((r for r in runs if r.curve and r.status == "ok"), next((r for r in runs if r.curve), None))
    order = list(LABELS)
    return Row(
        number=e.experiment,
        verdict=str(e.verdict),
        label=LABELS.get(str(e.verdict), str(e.verdict)),
        rank=order.index(str(e.verdict)) if str(e.verdict) in order else len(order),
        difference=difference,
        span=span,
        better=e.difference is not None and (e.difference < 0) == facts.lower and e.difference != 0,
        sort=f"{e.difference:.8g}" if numbers.known(e.difference) else "",
        runs=len(runs),
        hypothesis=first,
        rest=rest,
        parent=e.parent,
        agent=e.agent,
        predicted=numbers.fixed(e.predicted_effect, 3, sign=True) if numbers.known(e.predicted_effect) else "",
        evidence=_evidence(e),
        reason=_reason(e, runs),
        cost=_cost(e),
        lines=[_line(r) for r in runs[:12]],
        curve=_curve(curve_run, x, y) if curve_run else "",
        diff=shown,
        diff_cut=cut,
        diff_size=f"+{added} −{removed}",
        log=log,
        log_cut=log_cut,
    )


def _sentence(text: str, most: int) -> tuple[str, str]:
    """(what stands in the row, the whole of it where that is longer)."""
    clean = " ".join(text.split())
    clean = clean if len(clean) <= most else clean[:most] + " …"
    if len(clean) <= 150:
        return clean or "(no hypothesis)", ""
    cut = clean.rfind(" ", 0, 140)
    cut = cut if cut > 60 else 140
    return clean[:cut] + " …", clean


def _evidence(e: Experiment) -> str:
    parts = ["from the screening run alone"] if e.basis == "screen" and e.difference is not None else []
    if numbers.known(e.p):
        parts.append(f"p {'< 0.0001' if (e.p or 0) < 1e-4 else '= ' + numbers.significant(e.p, 2)}")
    if numbers.known(e.noise_sd):
        parts.append(f"noise sd {numbers.significant(e.noise_sd, 2)}" + (f" ({e.noise_n} df)" if e.noise_n is not None else ""))
    if e.runs_invalid:
        parts.append(f"{numbers.plural(len(e.runs_invalid), 'invalid run')} left out")
    return ", ".join(parts)


def _reason(e: Experiment, runs: list[Run]) -> str:
    detail = next((r.detail for r in runs if r.status != "ok" and r.detail), None)
    words = (e.reason or "").replace("_", " ")
    return f"{words}: {detail[:300]}" if words and detail and detail[:300] != words else words or (detail or "")[:300]


def _cost(e: Experiment) -> str:
    parts = []
    if e.tokens_in is not None or e.tokens_out is not None:
        parts.append(f"{numbers.fixed(e.tokens_in, 0)} tokens in, {numbers.fixed(e.tokens_out, 0)} out")
    if e.cost_usd is not None:
        parts.append(f"US$ {e.cost_usd:.3f}")
    return ", ".join(parts)


def _line(run: Run) -> RunLine:
    score = numbers.significant(run.score, 5) if numbers.known(run.score) and run.status in {"ok", "invalid"} else numbers.UNKNOWN
    note = " ".join([str(run.reason).replace("_", " ") if run.reason else "", *(f"suspicious: {s}" for s in run.suspicious)]).strip()
    return RunLine(run.run, run.kind, run.status, score, note, numbers.duration(run.wall_s))


def _tail(facts: Facts, e: Experiment, cap: int) -> tuple[str, int]:
    run = _log_run(facts, e)
    if run is None or cap <= 0:
        return "", 0
    text = "".join(c for c in run.log_tail.strip() if c in "\n\t" or c.isprintable())
    if len(text) <= cap:
        return text, 0
    return text[-cap:].split("\n", 1)[-1] if "\n" in text[-cap:] else text[-cap:], len(text) - cap


def _curve_scales(facts: Facts) -> tuple[Scale, Scale]:
    """One pair of axes for all small curves, so that they can be compared; the first tenth of a curve may leave the picture at the top."""
    lasts, seconds = [], 0.0
    for run in facts.runs:
        points = [p for p in thinned(run.curve, CURVE_POINTS) if math.isfinite(p[0] + p[2])]
        if points:
            seconds = max(seconds, points[-1][0])
            lasts += [p[2] for p in points[len(points) // 10 :]]
    if not lasts or seconds <= 0:
        return Scale(0, 1, 0, 240), Scale(0, 0, 60, 0)
    lasts.sort()
    low, high = lasts[0], lasts[int(0.97 * (len(lasts) - 1))]
    return Scale(0, seconds, 0, 240), Scale(low, high if high > low else low + 1, 58, 2)


def _curve(run: Run, x: Scale, y: Scale) -> str:
    points = [(p[0], p[2]) for p in thinned(run.curve, CURVE_POINTS) if math.isfinite(p[0] + p[2])]
    if len(points) < 2 or y.high <= y.low:
        return ""
    return path([(round(x.at(a)), round(y.at(b))) for a, b in points])
