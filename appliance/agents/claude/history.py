"""What was tried, as text: recent and kept experiments whole, older ones a line each, the oldest counted by what they changed.

Bounded whatever the night's length: about 60 characters for a digested experiment, 300 for a whole one.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from appliance.agents.claude import figures
from appliance.records import Experiment, Run, Verdict, View

KEPT = (Verdict.KEPT, Verdict.KEPT_SIMPLER)
_WHOLE = 8
"""Latest experiments told whole."""
_WHOLE_KEPT = 12
"""Latest kept ones told whole."""
_LINES = 100
"""Older ones with a line of their own."""
_HYPOTHESIS = 220
_ASSIGNED = re.compile(r"^[-+]\s*([A-Z][A-Z0-9_]+)\s*=", re.MULTILINE)


def table(view: View, scale: float = 1.0) -> str:
    """The whole history; `scale` below 1 shortens it where a prompt was too long."""
    whole, lines = int(_WHOLE * scale), int(_LINES * scale)
    runs = runs_by_experiment(view.runs)
    decided = list(view.experiments)
    kept = [e for e in decided if e.verdict in KEPT][-max(1, int(_WHOLE_KEPT * scale)) :]
    told = {e.experiment for e in decided[len(decided) - whole :]} | {e.experiment for e in kept}
    counted, rest = decided[: max(0, len(decided) - whole - lines)], decided[max(0, len(decided) - whole - lines) :]
    parts = ["## What was tried", "sd: this machine's noise of one run. Effects are differences to the incumbent of that time."]
    if not decided:
        parts.append("Nothing yet: this is the first experiment of the night.")
    if counted:
        parts.append(_counted([e for e in counted if e.experiment not in told], view))
        parts += [row(e, view, runs, whole=True) for e in counted if e.experiment in told]
    parts += [row(e, view, runs, whole=e.experiment in told) for e in rest]
    return "\n".join(part for part in parts if part)


def row(experiment: Experiment, view: View, runs: Mapping[int, Sequence[Run]], *, whole: bool) -> str:
    """One experiment in a line, or in three."""
    e = experiment
    changed = changed_of(e, view)
    observed = figures.effect(e.difference, e.noise_sd)
    if not whole:
        told = observed if e.difference is not None else _short(e.reason or "", 60)
        return f"#{e.experiment} {e.verdict.value} {e.agent}: {_short(changed, 90)}: {told}"
    interval = (
        f" [{figures.signed(e.interval_low)}, {figures.signed(e.interval_high)}]"
        if e.interval_low is not None and e.interval_high is not None
        else ""
    )
    lines = [
        f"#{e.experiment} {e.verdict.value.upper()} ({e.agent}, on #{e.parent}): {_short(changed, 200)}",
        f"  idea: {_short(e.hypothesis, _HYPOTHESIS)}" if e.agent != "search" else "",
        f"  predicted {figures.effect(e.predicted_effect, e.noise_sd)}, observed {observed}{interval}" if e.difference is not None else "",
        f"  {_short(e.reason, 200)}" if e.reason else "",
        f"  {seen(runs.get(e.experiment, ()), view)}",
    ]
    return "\n".join(line for line in lines if line.strip())


def runs_by_experiment(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """Experiment → its own runs."""
    grouped: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        grouped[run.experiment].append(run)
    return grouped


def seen(runs: Sequence[Run], view: View) -> str:
    """Progress, size and memory that its runs reported, medians."""
    told = []
    for name, meaning in view.task.observables.items():
        values = [run.observables[name] for run in runs if name in run.observables]
        if values and meaning.role in ("progress", "size", "memory"):
            told.append(figures.observable(median(values), meaning, name))
    return ", ".join(told)


def changed_of(experiment: Experiment, view: View) -> str:
    """What it changed: constants by name, else the names its diff assigns and how many lines."""
    old, new = (view.configurations.get(n) for n in (experiment.parent, experiment.experiment))
    constants = figures.changes(old, new) if old is not None and new is not None else ""
    body = [line for line in experiment.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    added, removed = sum(line[0] == "+" for line in body), sum(line[0] == "-" for line in body)
    if constants and added == removed == constants.count("→"):
        return constants
    lines = f"+{added}/−{removed} lines" if body else "nothing that could run"
    return f"{constants}; {lines}" if constants else f"{lines}: {_short(experiment.hypothesis, 60)}"


def _counted(experiments: Sequence[Experiment], view: View) -> str:
    """The oldest: per constant how often it was changed, how often that was kept, the best effect in units of noise."""
    groups: dict[str, list[Experiment]] = defaultdict(list)
    for e in experiments:
        for name in sorted(set(_ASSIGNED.findall(e.diff))) or ["(code)"]:
            groups[name].append(e)
    better = min if view.task.metric.direction == "lower" else max
    lines = [f"Experiments 1 to {max((e.experiment for e in experiments), default=0)} that were not kept, by what they changed:"]
    for name, group in sorted(groups.items(), key=lambda item: -len(item[1]))[:30]:
        effects = [e.difference / e.noise_sd for e in group if e.difference is not None and e.noise_sd]
        lines.append(f"  {name}: {len(group)} tried" + (f", best {figures.signed(round(better(effects), 1))} sd" if effects else ""))
    return "\n".join(lines) if experiments else ""


def _short(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
