"""`make bench-overhead`: what of a night is not training, by phase.

    python bench/overhead.py [--hours 0.4] [--pairs 5] [--sandbox docker]
    python bench/overhead.py --night FOLDER [--night ANOTHER]

Lives a real CPU night of 30 s budgets with sandboxes that stand by, then runs its reference in turn with and without them; or reads the
rows of nights that were lived, side by side. A run's phases are its wall clock to the second (`Run.phases`); `between` is what passed from
its end to the start of the next: judging, recording, waiting for a proposal. Confirmations are left out: they score one training several
times. Medians are of runs that are ok, shares of everything between the first and the last of them, disturbed and failed runs included.

Last line: JSON of the last night with `outside_budget_s` (evaluation apart), `evaluation_s`, `training_share`; of the pairs `paired_…` with
and `paired_…_without`. Exit 1 beyond a limit.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from appliance import ledger
from appliance.errors import ApplianceError, UsageError
from appliance.records import Run

if TYPE_CHECKING:
    from appliance.workflows.execution import RunOutcome  # what only reads rows needs none of it

LEAST_EXPERIMENTS = 12
LIMITS = {"outside_budget_s": 4.0, "evaluation_s": 3.0}
LEAST_SHARE = 0.8
"""Of a night with 30 s budgets; the same seconds outside the budget are 97.7 % at 300 s."""
TRAINING = "budget"
APART = (TRAINING, "evaluate")
"""Phases that are not counted as outside the budget."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breakdown:
    """Where the runs of one night went."""

    runs: int
    """Scored."""
    lost: int
    """Failed, rejected, disturbed or interrupted ones among them."""
    phases: dict[str, float]
    """Phase → median seconds of a run; `between` is the last."""
    outside_budget_s: float
    evaluation_s: float
    training_share: float


def breakdown(runs: Sequence[Run]) -> Breakdown:
    """Of a night's runs, in their order; confirmations among them are passed over.

    Raises:
        UsageError: no run was scored, or the rows carry no phases.
    """
    searched = [run for run in runs if run.kind not in ("confirm", "attribute")]
    told = [run for run in searched if run.phases and run.wall_s is not None]
    if not any(run.status == "ok" for run in told):
        raise UsageError("no scored run carries its phases: the night is empty, or was lived by an older release")
    between = {run.run: gap for run, gap in _gaps(told)}
    whole = [{**run.phases, "between": between[run.run]} for run in told if run.status == "ok" and run.run in between]
    whole = whole or [run.phases for run in told if run.status == "ok"]
    elapsed = sum(run.wall_s or 0.0 for run in told) + sum(between.values())
    share = sum(run.phases.get(TRAINING, 0.0) for run in told) / elapsed
    return _medians(whole, runs=sum(run.status == "ok" for run in told), lost=sum(run.status != "ok" for run in searched), share=share)


def _medians(told: Sequence[Mapping[str, float]], *, runs: int, lost: int, share: float) -> Breakdown:
    names = list(dict.fromkeys(name for phases in told for name in phases))
    return Breakdown(
        runs=runs,
        lost=lost,
        phases={name: median(phases.get(name, 0.0) for phases in told) for name in names},
        outside_budget_s=median(sum(seconds for name, seconds in phases.items() if name not in APART) for phases in told),
        evaluation_s=median(phases.get("evaluate", 0.0) for phases in told),
        training_share=share,
    )


def _gaps(runs: Sequence[Run]) -> list[tuple[Run, float]]:
    """Each run that another followed, and the seconds between the two; 0 where the next began before this one had ended."""
    found = []
    for run, following in pairwise(runs):
        if following.run == run.run + 1:
            passed = datetime.fromisoformat(following.started_at) - datetime.fromisoformat(run.started_at)
            found.append((run, max(0.0, passed.total_seconds() - (run.wall_s or 0.0))))
    return found


def live(hours: float, kind: str, nights: Path | None) -> Path:
    """A night on the CPU, with stand-by; its folder."""
    from appliance.workflows import overnight
    from appliance.workflows.progress import Silent  # what only reads rows needs neither

    options = overnight.Options(hours=hours, preset="cpu", device="cpu", sandbox=kind, nights=nights)  # type: ignore[arg-type]
    return overnight.begin(options, Silent()).folder


def paired(count: int, kind: str) -> dict[str, Breakdown]:
    """The reference, so often without and with stand-by in turn."""
    from appliance.workflows.execution import RunRequest, SandboxExecution
    from appliance.workflows.progress import Silent
    from appliance.workflows.workplace import make_ready

    work = make_ready(task="trainer", device="cpu", preset="cpu", kind=kind, hours=1, progress=Silent())  # type: ignore[arg-type]
    modes = {
        ahead: SandboxExecution(
            place=work.place, loaded=work.loaded, preset=work.preset, device=work.device, profile=work.profile, ahead=ahead
        )
        for ahead in (False, True)
    }
    files = work.loaded.reference(work.preset)
    found: dict[bool, list[RunOutcome]] = {False: [], True: []}
    try:
        for number in range(count + 1):
            for ahead, execution in modes.items():
                outcome = execution.run(RunRequest(night_id="bench", run=number, seed=number, files=files, corpus=work.first))
                if number:  # nothing stood by for the first
                    found[ahead].append(outcome)
    finally:
        for execution in modes.values():
            execution.close()
    return {"with" if ahead else "without": _of_pairs(outcomes) for ahead, outcomes in found.items()}


def _of_pairs(outcomes: "Sequence[RunOutcome]") -> Breakdown:
    scored = [outcome.phases for outcome in outcomes if outcome.status == "ok"]
    if not scored:
        raise ApplianceError(f"no run of a pair was scored: {outcomes[-1].reason}: {outcomes[-1].detail or outcomes[-1].log_tail[-300:]}")
    elapsed = sum(sum(outcome.phases.values()) for outcome in outcomes)
    share = sum(outcome.phases.get(TRAINING, 0.0) for outcome in outcomes) / elapsed
    return _medians(scored, runs=len(scored), lost=len(outcomes) - len(scored), share=share)


def table(nights: dict[str, Breakdown]) -> str:
    """Phases down, nights across."""
    names = list(dict.fromkeys(name for found in nights.values() for name in found.phases))
    lines = [" " * 16 + "".join(f"{name[-24:]:>26}" for name in nights)]
    lines += [f"{name:<16}" + "".join(f"{found.phases.get(name, 0.0):>24.3f} s" for found in nights.values()) for name in names]
    for label, value in (("outside budget", "outside_budget_s"), ("evaluation", "evaluation_s")):
        lines.append(f"{label:<16}" + "".join(f"{getattr(found, value):>24.3f} s" for found in nights.values()))
    lines.append(f"{'training':<16}" + "".join(f"{100 * found.training_share:>24.1f} %" for found in nights.values()))
    lines.append(f"{'runs (lost)':<16}" + "".join(f"{f'{found.runs} ({found.lost})':>26}" for found in nights.values()))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--night", type=Path, action="append", default=[], help="read this night instead of living one")
    parser.add_argument("--hours", type=float, default=0.4)
    parser.add_argument("--pairs", type=int, default=5, help="runs with and without stand-by after the night that is lived")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--nights", type=Path, default=None, help="folder of the night that is lived; default as for `appliance overnight`")
    chosen = parser.parse_args()
    try:
        folders = chosen.night or [live(chosen.hours, chosen.sandbox, chosen.nights)]
        read = {folder.name: ledger.read(folder) for folder in folders}
        found = {name: breakdown(night.runs) for name, night in read.items()}
        pairs = paired(chosen.pairs, chosen.sandbox) if chosen.pairs and not chosen.night else {}
    except ApplianceError as error:
        print(f"bench-overhead: {error}", file=sys.stderr)
        return error.exit_code
    print(table({**found, **pairs}))
    last, name = list(found.values())[-1], list(found)[-1]
    experiments, budget_s = len(read[name].experiments), read[name].plan.preset.budget_s
    summary = {
        "outside_budget_s": round(last.outside_budget_s, 3),
        "evaluation_s": round(last.evaluation_s, 3),
        "training_share": round(last.training_share, 4),
        "experiments": experiments,
        "budget_s": budget_s,
    } | {
        f"paired_{field}" + ("_without" if name == "without" else ""): round(getattr(pair, field), 3)
        for name, pair in pairs.items()
        for field in LIMITS
    }
    beyond = [key for key, limit in LIMITS.items() if summary[key] > limit] + ["training_share"] * (last.training_share < LEAST_SHARE)
    if experiments < LEAST_EXPERIMENTS:
        beyond.append(f"experiments (fewer than {LEAST_EXPERIMENTS}: give more --hours)")
    if beyond:
        print(f"beyond its limit: {', '.join(beyond)}")
    print(json.dumps(summary))
    return int(bool(beyond))


if __name__ == "__main__":
    sys.exit(main())
