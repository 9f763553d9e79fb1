"""A night as the tables that people's notebooks read: `results.tsv` in the original five columns, or CSV with what we know besides.

The score is the mean of the runs that count in the verdict. A missing number is an empty cell. The five-column form has three statuses
only: within noise, worse, rejected and refused are all `discard` there; CSV keeps our words.
"""

import csv
import io
import statistics
from collections.abc import Iterable
from pathlib import Path

from appliance.errors import UsageError
from appliance.exchange import words
from appliance.exchange.whole import write_whole
from appliance.records import Experiment, Night, Run, Verdict

_THREE = {Verdict.KEPT: "keep", Verdict.KEPT_SIMPLER: "keep", Verdict.FAILED: "crash"}
_CSV = (
    *("experiment", "parent", "commit", "{score}", "memory_gb", "status", "reason", "description", "agent"),
    *("difference", "interval_low", "interval_high", "p", "noise_sd", "decided_at"),
)


def write(night: Night, path: Path) -> None:
    """Write `path` in the form that its ending names, whole or not at all.

    Raises:
        UsageError: the ending is neither .tsv nor .csv, or the file cannot be written.
    """
    forms = {".tsv": results_tsv, ".csv": results_csv}
    if path.suffix not in forms:
        raise UsageError(f"{path.name}: a night is exported as .tsv (five columns) or .csv")
    write_whole(path, forms[path.suffix](night).encode())


def results_tsv(night: Night) -> str:
    """The five columns `commit, <metric>, memory_gb, status, description`; the baseline first."""
    lines = ["\t".join(("commit", score_column(night), "memory_gb", "status", "description"))]
    base = _runs_of(night, 0)
    if base:
        lines.append(_tab(night.plan.baseline_sha256, base, "keep", "baseline"))
    for experiment in night.experiments:
        runs = _counted(night, experiment)
        lines.append(_tab(experiment.asset_sha256, runs, _THREE.get(experiment.verdict, "discard"), experiment.hypothesis))
    return "\n".join(lines) + "\n"


def results_csv(night: Night) -> str:
    """The same with our verdicts, intervals and times; one row per experiment, the baseline as experiment 0."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([score_column(night) if name == "{score}" else name for name in _CSV])
    base = _runs_of(night, 0)
    if base:
        commit = night.plan.baseline_sha256[:12]
        writer.writerow([0, "", commit, _number(_mean(base)), _gigabytes(base), "baseline", "", "baseline", *[""] * (len(_CSV) - 8)])
    for e in night.experiments:
        runs = _counted(night, e)
        cells = [e.experiment, e.parent, e.asset_sha256[:12], _number(_mean(runs)), _gigabytes(runs), str(e.verdict), e.reason or ""]
        numbers = [_number(value) for value in (e.difference, e.interval_low, e.interval_high, e.p, e.noise_sd)]
        writer.writerow([*cells, line(e.hypothesis), line(e.agent), *numbers, e.decided_at])
    return out.getvalue()


def score_column(night: Night) -> str:
    """`val_bpb` for bits per byte, as the field's notebooks expect; else the metric's own name where it is a known one, else `score`."""
    name = night.plan.task.metric.name
    if name in {"bits_per_byte", "val_bpb"}:
        return "val_bpb"
    return name if name in words.SCORES else "score"


def _tab(commit: str, runs: list[Run], status: str, description: str) -> str:
    return "\t".join((commit[:7], _number(_mean(runs)), _gigabytes(runs), status, line(description)))


def _counted(night: Night, experiment: Experiment) -> list[Run]:
    named = set(experiment.runs)
    own = _runs_of(night, experiment.experiment)
    return [run for run in own if run.run in named] or own


def _runs_of(night: Night, experiment: int) -> list[Run]:
    return [run for run in night.runs if run.experiment == experiment and run.kind not in {"confirm", "attribute"}]


def _mean(runs: Iterable[Run]) -> float | None:
    scores = [run.score for run in runs if run.status == "ok" and run.score is not None]
    return statistics.fmean(scores) if scores else None


def _gigabytes(runs: Iterable[Run]) -> str:
    held = [run.observables.get("peak_memory_bytes") or run.telemetry.peak_memory_bytes for run in runs]
    known = [value for value in held if value]
    return f"{max(known) / 1e9:.1f}" if known else ""


def _number(value: float | None) -> str:
    """At least six decimals, as the field writes them; more where they are needed to read the same number back."""
    if value is None:
        return ""
    short = f"{value:.6f}"
    return short if float(short) == value else repr(value)


def line(text: str) -> str:
    """Text as one cell: no tabs, no line ends, nothing that cannot be printed."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else " " for c in text).split())
