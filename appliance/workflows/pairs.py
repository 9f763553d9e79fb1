"""Fresh runs of two assets, interleaved, outside any night: by the rules of a night's confirmation, kept by nobody.

Who goes first alternates. A disturbed run is repeated when the machine is calm. Start-up beyond the baseline's is taken off the budget,
as in a night. The first run that fails by itself ends it: a mean over the rest would be of those that were lucky.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from appliance import judge
from appliance.errors import ApplianceError
from appliance.exchange import FreshRun
from appliance.records import Reason, Score, Telemetry
from appliance.workflows.execution import Corpus, Execution, RunOutcome, RunRequest, retrying
from appliance.workflows.progress import Progress

_REPEATS = 5
"""A disturbed run is repeated this often before the machine is called too busy."""
_WAIT_S = 5.0


@dataclass(slots=True)
class Side:
    """One of the two assets and what its counting runs showed."""

    name: Literal["baseline", "winner"]
    files: Mapping[str, str]
    scores: list[Score] = field(default_factory=list)
    throughputs: list[float] = field(default_factory=list)
    telemetry: list[Telemetry] = field(default_factory=list)
    startups: list[float] = field(default_factory=list)

    def take(self, outcome: RunOutcome, throughput: float | None) -> None:
        """Count a run that is ok."""
        self.scores.append(outcome.scores[0])
        self.telemetry.append(outcome.telemetry)
        self.throughputs += [throughput] if throughput is not None else []
        self.startups += [outcome.startup_s] if outcome.startup_s is not None else []


@dataclass(kw_only=True, slots=True)
class Pairs:
    """Runs pairs of `baseline` and `winner` on the test split of `corpus`."""

    execution: Execution
    corpus: Corpus
    throughput_name: str | None
    """The observable by which a disturbed run is known."""
    baseline: Side
    winner: Side
    progress: Progress
    sleep: Callable[[float], None] = time.sleep
    runs: list[FreshRun] = field(default_factory=list)
    """Everything that ran, in order."""

    def run(self, seeds: Sequence[int]) -> FreshRun | None:
        """One pair per seed; the run that failed and so ended it, None where all are ok.

        Raises:
            ApplianceError: the machine never became calm.
            SandboxError: the sandbox failed again and again.
        """
        for index, seed in enumerate(seeds):
            sides = (self.baseline, self.winner) if index % 2 == 0 else (self.winner, self.baseline)
            for side in sides:
                last = self._until_calm(side, index + 1, seed)
                if last.status != "ok":
                    return last
        return None

    def _until_calm(self, side: Side, pair: int, seed: int) -> FreshRun:
        run, wait_s = self._once(side, pair, seed), _WAIT_S
        for _ in range(_REPEATS):
            if run.status != "invalid":
                return run
            self.progress.note(f"pair {pair}: {side.name} was disturbed ({run.reason}); again in {wait_s:g} s")
            self.sleep(wait_s)
            run, wait_s = self._once(side, pair, seed), 2 * wait_s
        if run.status == "invalid":
            raise ApplianceError(f"the machine is too busy to measure on ({run.reason}): end what else runs on it and try again")
        return run

    def _once(self, side: Side, pair: int, seed: int) -> FreshRun:
        def disturbance(telemetry: Telemetry, observables: Mapping[str, float]) -> Reason | None:
            normal = judge.normal(side.throughputs, side.telemetry)
            return judge.disturbance(telemetry, observables.get(self.throughput_name or ""), normal)

        request = RunRequest(
            night_id="reproduce",
            run=len(self.runs) + 1,
            seed=seed,
            files=side.files,
            corpus=self.corpus,
            splits=("test",),
            per_document=True,
            startup_calibrated_s=median(self.baseline.startups) if self.baseline.startups else None,
            normal=disturbance,
        )
        outcome = retrying(self.execution, request, self.progress.note)
        run = _row(side, pair, seed, outcome)
        self.runs.append(run)
        if run.status == "ok":
            side.take(outcome, outcome.observables.get(self.throughput_name or ""))
            self.progress.note(f"pair {pair}: {side.name} {run.score:.5f}")
        return run


def _row(side: Side, pair: int, seed: int, outcome: RunOutcome) -> FreshRun:
    ok = outcome.status == "ok"
    return FreshRun(
        asset=side.name,
        pair=pair,
        seed=seed,
        status=outcome.status,
        reason=outcome.reason,
        detail=outcome.detail,
        score=outcome.scores[0].score if ok else None,
        started_at=outcome.started_at,
        startup_s=outcome.startup_s,
        budget_s=outcome.budget_s,
        wall_s=outcome.wall_s,
        observables=outcome.observables,
        telemetry=outcome.telemetry,
    )
