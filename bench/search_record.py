"""`make bench-search-record`: real runs over the task's constants, once, as a small table that `make bench-search` replays.

    python bench/search_record.py --minutes 90 [--preset cpu-quick] [--sandbox docker] [--table bench/data/search_runs]

Goes on where the table ends, until the minutes are over; each run is one row, written as soon as it is known. First the ranges are filled:
of nine runs, two are anywhere in them, three where the estimate promises at least 100 steps, two within a quarter of a range of the best so
far (all by a scrambled Halton sequence), one repeats the reference and one the best so far: that is the noise. After ten runs a constant,
the surrogates that replay the table are put right where replayed nights end: of nine runs, five are such ends, of each method in turn.
Configurations that the estimate finds unable to make one step in the budget are not run. A disturbed run is repeated up to three times and
then kept as invalid.

Last line: JSON with `rows`, `scored`, `seconds_per_run`.
"""

import argparse
import contextlib
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec
import recorded
import space
from policies import POLICIES, night
from recorded import Machine, Recorded, Row
from surrogate import Estimate, estimator
from threadpoolctl import threadpool_limits

from appliance import judge, tasks
from appliance.errors import ApplianceError, UsageError
from appliance.records import Constant, Profile
from appliance.workflows.execution import RunRequest, SandboxExecution
from appliance.workflows.progress import Silent
from appliance.workflows.workplace import Workplace, make_ready

FILL = ("wide", "fitting", "near", "reference", "fitting", "wide", "near", "fitting", "best")
SHARPEN = ("promised", "near", "promised", "reference", "promised", "promised", "near", "promised", "best")
"""What the runs are for, in turn."""
FILLED = 10
"""Runs a constant, after which the table is filled."""
ENOUGH_STEPS = 100
NEAR = 0.25
KEPT_CHOICES = 0.75
"""Share of the best one's choices (no quantities) that a neighbour keeps."""
ATTEMPTS = 4
NIGHT_RUNS = 213
"""Of a replayed night: an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which configuration comes next; decided by the rows alone, so that an interrupted recording goes on as it would have."""

    ranges: space.Ranges
    reference: dict[str, Constant]
    estimate: Estimate
    about: Machine
    budget_s: float
    memory_bytes: float | None

    def next(self, rows: Sequence[Row]) -> tuple[str, dict[str, Constant]]:
        """What for, and the constants."""
        turns = FILL if len(rows) < FILLED * len(self.ranges) else SHARPEN
        why = turns[len(rows) % len(turns)]
        scored = [row for row in rows if row.score is not None]
        best = dict(min(scored, key=lambda row: row.score or 0.0).constants) if scored else self.reference
        if why in ("reference", "best"):
            return why, self.reference if why == "reference" else best
        if why == "promised":
            return why, promised(rows, self.about)
        earlier = sum(row.why == why for row in rows)
        return why, next(itertools.islice(self._worth(why, best), earlier, None))

    def _worth(self, why: str, best: dict[str, Constant]) -> Iterator[dict[str, Constant]]:
        """The sequence of this kind, without what cannot run or makes too few steps."""
        for index in itertools.count():
            at = space.point(index, len(self.ranges), seed=FILL.index(why))
            found = space.configuration(at, self.ranges) if why != "near" else neighbour(best, at, self.ranges)
            predicted = self.estimate(found)
            steps = predicted.get("observables", {}).get("steps", ENOUGH_STEPS)
            if recorded.hopeless(predicted, self.budget_s, self.memory_bytes) or (why == "fitting" and steps < ENOUGH_STEPS):
                continue
            yield found


def promised(rows: Sequence[Row], about: Machine) -> dict[str, Constant]:
    """What a replayed night ends with; methods and surrogates take turns."""
    turn = sum(row.why == "promised" for row in rows)
    methods = list(itertools.product(recorded.MODELS, POLICIES))
    model, method = methods[turn % len(methods)]
    with threadpool_limits(1):  # the matrices are small
        ground = Recorded(rows, about, model)
        state = night(ground, POLICIES[method](turn), turn, NIGHT_RUNS)
    return {name: state.configurations[state.incumbent][name] for name in ground.loaded.task.constants}


def neighbour(best: dict[str, Constant], at: Sequence[float], ranges: space.Ranges) -> dict[str, Constant]:
    """Quantities moved by up to `NEAR` of their range; most choices kept."""
    found: dict[str, Constant] = {}
    for share, (name, r) in zip(at, ranges.items(), strict=True):
        if r.type == "bool" or r.choices is not None:
            found[name] = best[name] if share < KEPT_CHOICES else space.value((share - KEPT_CHOICES) / (1 - KEPT_CHOICES), r)
        else:
            found[name] = space.value(space.position(best[name], r) + NEAR * (2 * share - 1), r)
    return found


def run(execution: SandboxExecution, place: Workplace, index: int, seed: int, why: str, constants: dict[str, Constant]) -> Row:
    """One run; again while it is disturbed."""
    files = tasks.replace_constants(place.loaded.reference(place.preset), constants)
    request = RunRequest(
        night_id="record",
        run=index,
        seed=seed,
        files=files,
        corpus=place.first,
        normal=lambda telemetry, _observables: judge.disturbance(telemetry, None, None),
    )
    for _ in range(ATTEMPTS):
        outcome = execution.run(request)
        if outcome.status != "invalid":
            break
    return Row(
        index=index,
        why=why,
        seed=seed,
        status=outcome.status,
        reason=str(outcome.reason or ""),
        score=round(outcome.scores[0].score, 5) if outcome.status == "ok" else None,
        steps=outcome.observables.get("steps"),
        seconds=round(outcome.wall_s or 0.0, 2),
        constants=constants,
    )


def tell(row: Row) -> None:
    """A line for who waits."""
    came = f"{row.status}: {row.reason}" if row.score is None else f"{row.score:.4f}, {row.steps or 0:,.0f} steps"
    print(f"{row.index:>4} {row.why:<10} {came}, {row.seconds:.1f} s", flush=True)


def about(place: Workplace) -> Machine:
    """What stands beside the table: the profile without its single measurements, which only the estimate's figures come from."""
    profile: Profile = msgspec.structs.replace(place.profile, measurement=None)
    return Machine(
        task=place.loaded.task.name,
        task_sha256=place.loaded.sha256,
        preset=place.preset_name,
        device=place.device.name,
        isolation=place.place.isolation,
        profile=profile,
    )


def claim(table: Path, found: Machine) -> None:
    """Begin the table, or see that its rows stand on the same task, preset and machine.

    Raises:
        UsageError: they do not.
    """
    file = table.with_suffix(".json")
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        return
    known = recorded.machine(table)
    for name in ("task_sha256", "preset", "device", "isolation"):
        if getattr(known, name) != getattr(found, name):
            raise UsageError(f"{file} was recorded with another {name}: give another --table")


def record(place: Workplace, table: Path, minutes: float) -> list[Row]:
    """Rows until the minutes are over; all rows of the table."""
    ranges = place.loaded.task.constants
    claim(table, about(place))
    found, rows = recorded.machine(table), recorded.read(table, ranges)
    constants = tasks.read_constants(place.loaded.reference(place.preset))
    plan = Plan(
        ranges=ranges,
        reference={name: constants[name] for name in ranges},
        estimate=estimator(place.loaded, place.preset, found.profile),
        budget_s=place.preset.budget_s,
        memory_bytes=found.profile.usable_memory_bytes,
        about=found,
    )
    machine = SandboxExecution(place=place.place, loaded=place.loaded, preset=place.preset, device=place.device, profile=place.profile)
    until = time.monotonic() + 60 * minutes
    with contextlib.closing(machine) as execution:
        while time.monotonic() < until:
            why, chosen = plan.next(rows)
            row = run(execution, place, len(rows), random.Random(f"search-record/{len(rows)}").randrange(2**31), why, chosen)
            recorded.append(table, row, ranges)
            rows.append(row)
            tell(row)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--preset", default="cpu-quick")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--table", type=Path, default=recorded.TABLE, help="without suffix; .csv and .json are written")
    chosen = parser.parse_args()
    try:
        place = make_ready(task="trainer", device="cpu", preset=chosen.preset, kind=chosen.sandbox, hours=None, progress=Silent())
        rows = record(place, chosen.table, chosen.minutes)
    except ApplianceError as error:
        print(f"bench-search-record: {error}", file=sys.stderr)
        return error.exit_code
    scored = [row for row in rows if row.score is not None]
    summary = {"rows": len(rows), "scored": len(scored), "seconds_per_run": median(row.seconds for row in rows) if rows else None}
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
