"""`make bench-search-nights`: real nights of every method on this machine, side by side, as a check of the replay.

    python bench/search_nights.py --minutes 60 [--methods ours,tpe,random,climb] [--preset cpu-quick] [--sandbox docker]
        [--table bench/data/search_nights]

The methods, the judge and the calibration are those of the replay (`policies.py`); every run is real. The night that has spent least of its
clock goes on with its next experiment, so all are equally far at any time, and an hour when the machine is slow is everybody's. A night's
clock is the wall clock of its runs; those that were disturbed and repeated are nobody's, and neither is the thinking (0.1 s a proposal).
Each run is a row, written as soon as it is known: nights go on where the table ends, as many minutes as are given. `make bench-search`
draws them beside the replayed ones.

Last line: JSON with the nights' `minutes`, `runs`, `kept` and `score` (mean of the incumbent's runs without its first), each by method.
"""

import argparse
import contextlib
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import recorded
import search_record
from policies import POLICIES, Night
from recorded import Machine, Row
from surrogate import estimator

from appliance import tasks
from appliance.errors import ApplianceError, UsageError
from appliance.records import Constant, Verdict
from appliance.workflows.execution import SandboxExecution
from appliance.workflows.progress import Silent
from appliance.workflows.workplace import Workplace, make_ready

TABLE = recorded.TABLE.with_name("search_nights")
"""Without its suffixes. Rows as of recorded runs; `why` is the method."""
SEED = 1
Execute = Callable[[str, int, dict[str, Constant]], Row]
"""Method, seed and constants → a run that was not disturbed."""


class Over(Exception):
    """The rows of a night are over, and nobody executes more."""


class Ground:
    """The machine as one method's landscape: what is recorded of its night comes first, then real runs."""

    noise_sd, seconds_per_run = math.nan, math.nan
    """A night calibrates before it asks; no method asks for the seconds."""

    def __init__(self, method: str, about: Machine, rows: Sequence[Row], execute: Execute | None) -> None:
        self.loaded = tasks.load(about.task)
        self.preset, self.profile = self.loaded.task.presets[about.preset], about.profile
        self.clock_s: list[float] = []
        """After each run."""
        self._method, self._rows, self._execute = method, rows, execute
        self._estimate = estimator(self.loaded, self.preset, about.profile)
        self._scores: dict[tuple[Constant, ...], list[float]] = {}

    def expected(self, constants: Mapping[str, Constant]) -> tuple[float | None, dict[str, float]]:
        """Mean of this night's scores of a configuration without the first, which may have been its screening."""
        scores = self._scores.get(self._key(constants), [])
        return (fmean(scores[1:] or scores) if scores else None), {}

    def estimate(self, configurations: Sequence[Mapping[str, Constant]]) -> list[dict[str, Any]]:
        """What the task's `[estimate]` answers."""
        return [self._estimate(constants) for constants in configurations]

    def run(self, constants: Mapping[str, Constant], rng: random.Random) -> float | None:
        """The next row's score.

        Raises:
            UsageError: the row is of another configuration than the method now proposes.
            Over: there is none.
        """
        seed, at = rng.randrange(2**31), len(self.clock_s)
        if at < len(self._rows):
            row = self._rows[at]
            if self._key(row.constants) != self._key(constants):
                raise UsageError(f"row {row.index} is not what {self._method} would run there now: begin another --table")
        elif self._execute is not None:
            row = self._execute(self._method, seed, {name: constants[name] for name in self.loaded.task.constants})
        else:
            raise Over
        self.clock_s.append(row.seconds + (self.clock_s[-1] if self.clock_s else 0.0))
        if row.score is not None:
            self._scores.setdefault(self._key(constants), []).append(row.score)
        return row.score

    def _key(self, constants: Mapping[str, Constant]) -> tuple[Constant, ...]:
        return tuple(constants[name] for name in self.loaded.task.constants)


class RealNight:
    """One method's night; begun with its first step."""

    def __init__(self, method: str, about: Machine, rows: Iterable[Row], execute: Execute | None) -> None:
        self.ground = Ground(method, about, [row for row in rows if row.why == method], execute)
        self.state: Night | None = None
        self.over = False
        self._policy = POLICIES[method](SEED)

    @property
    def spent_s(self) -> float:
        """Of its clock."""
        return self.ground.clock_s[-1] if self.ground.clock_s else 0.0

    def step(self) -> None:
        """The calibration, then an experiment each time; it is over where the method has nothing left to try."""
        if self.state is None:
            self.state = Night(self.ground, SEED)
        elif (change := self._policy(self.state.view())) is None:
            self.over = True
        else:
            self.state.experiment(change, sys.maxsize)


def lived(table: Path, methods: Iterable[str]) -> dict[str, RealNight]:
    """The nights of a table, as far as it goes; without those that have not calibrated.

    Raises:
        UsageError: it is damaged, or of other methods than these are now.
    """
    about = recorded.machine(table)
    rows = recorded.read(table, tasks.load(about.task).task.constants)
    nights = {method: RealNight(method, about, rows, None) for method in methods}
    for night in nights.values():
        with contextlib.suppress(Over):
            while not night.over:
                night.step()
    return {method: night for method, night in nights.items() if night.state is not None}


def live(place: Workplace, table: Path, methods: Sequence[str], minutes: float) -> dict[str, RealNight]:
    """Go on with the nights of a table, side by side, until the minutes are over.

    Raises:
        ApplianceError: the machine is too disturbed to measure on; what was recorded stays.
    """
    ranges, about = place.loaded.task.constants, search_record.about(place)
    search_record.claim(table, about)
    about = recorded.machine(table)
    rows = recorded.read(table, ranges)
    machine = SandboxExecution(place=place.place, loaded=place.loaded, preset=place.preset, device=place.device, profile=place.profile)

    def execute(method: str, seed: int, constants: dict[str, Constant]) -> Row:
        row = search_record.run(execution, place, len(rows), seed, method, constants)
        if row.status == "invalid":
            raise ApplianceError(f"the machine is too busy to measure on ({row.reason}): end what else runs on it, and go on")
        recorded.append(table, row, ranges)
        rows.append(row)
        search_record.tell(row)
        return row

    nights = {method: RealNight(method, about, list(rows), execute) for method in methods}
    until = time.monotonic() + 60 * minutes
    with contextlib.closing(machine) as execution:
        while time.monotonic() < until and not all(night.over for night in nights.values()):
            min((night for night in nights.values() if not night.over), key=lambda night: night.spent_s).step()
    return nights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="of this machine, for all nights together")
    parser.add_argument("--methods", default=",".join(POLICIES))
    parser.add_argument("--preset", default="cpu-quick")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--table", type=Path, default=TABLE, help="without suffix; .csv and .json are written")
    chosen = parser.parse_args()
    try:
        methods = chosen.methods.split(",")
        if unknown := [method for method in methods if method not in POLICIES]:
            raise UsageError(f"--methods {','.join(unknown)}: there are {', '.join(POLICIES)}")
        place = make_ready(task="trainer", device="cpu", preset=chosen.preset, kind=chosen.sandbox, hours=None, progress=Silent())
        nights = live(place, chosen.table, methods, chosen.minutes)
    except ApplianceError as error:
        print(f"bench-search-nights: {error}", file=sys.stderr)
        return error.exit_code
    begun = {method: night for method, night in nights.items() if night.state is not None}
    found = {method: described(night) for method, night in begun.items()}
    print(f"{'':8}{'minutes':>10}{'runs':>8}{'kept':>8}{'score':>10}")
    for method, of in found.items():
        print(f"{method:8}{of['minutes']:>10.1f}{of['runs']:>8}{of['kept']:>8}{of['score']:>10.4f}")
    print(json.dumps({name: {method: of[name] for method, of in found.items()} for name in ("minutes", "runs", "kept", "score")}))
    return 0


def described(night: RealNight) -> dict[str, float]:
    """What a night that has calibrated has come to."""
    assert night.state is not None
    kept = sum(experiment.verdict is Verdict.KEPT for experiment in night.state.experiments)
    return {"minutes": round(night.spent_s / 60, 1), "runs": len(night.state.runs), "kept": kept, "score": round(night.state.path[-1], 4)}


if __name__ == "__main__":
    sys.exit(main())
