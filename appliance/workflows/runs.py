"""Executing a run of a night and recording it: number, seed, retries of disturbed machines, the row in the ledger."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from appliance import judge
from appliance.errors import ApplianceError
from appliance.ledger import Ledger
from appliance.records import NightPlan, Reason, Run, Task, Telemetry
from appliance.workflows.belief import Belief
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus, Execution, RunOutcome, RunRequest, retrying
from appliance.workflows.progress import Progress

_INVALID_REPEATS = 3
"""A disturbed run is repeated this often before its experiment is given up."""
_CALIBRATION_REPEATS = 10
"""A disturbed calibration, before the night is: without it there is nothing to compare with."""
_CALM_WAIT_S = 5.0
_LONGEST_WAIT_S = 60.0
"""Pause before a disturbed run is repeated, doubled each time up to this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A run that somebody wants."""

    experiment: int
    kind: str
    files: Mapping[str, str]
    asset_sha256: str
    seed_label: str
    """Runs with the same label get the same seed."""
    for_experiment: int | None = None
    corpus: Corpus
    splits: tuple[str, ...] = ("val",)
    per_document: bool = False


class Runs:
    """Runs of one night, one at a time."""

    def __init__(
        self,
        *,
        book: Ledger,
        execution: Execution,
        belief: Belief,
        clock: Clock,
        progress: Progress,
        predicted: Callable[[Mapping[str, str]], float | None] = lambda _files: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._book, self._execution, self._belief, self._clock, self._progress, self._sleep = (
            book,
            execution,
            belief,
            clock,
            progress,
            sleep,
        )
        self._predicted = predicted
        self.reserved_s = 0.0
        """Of the clock, kept back for later runs: waiting for calm must not eat it."""
        self._plan = book.plan
        self.throughput_name = throughput_of(self._plan.task)

    def execute(self, order: Order) -> Run:
        """Run until the machine was calm and the run is to be believed, at most a few times; every attempt has its row. The last one's.

        Raises:
            SandboxError: the sandbox failed again and again.
        """
        wait = _CALM_WAIT_S
        repeats = _CALIBRATION_REPEATS if order.kind == "calibration" else _INVALID_REPEATS
        for attempt in range(1 + repeats):
            run = self._once(order)
            if run.status != "invalid" or attempt == repeats or self._clock.left_s - self.reserved_s < wait:
                break
            if run.reason is Reason.SUSPICIOUS:
                self._progress.note(f"run {run.run} is suspicious ({run.detail}); repeated once with another seed")
                continue
            self._progress.note(f"run {run.run} was disturbed ({run.reason}); repeated when the machine is calm")
            self._sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
        return run

    def seed(self, label: str) -> int:
        """The seed of runs with this label."""
        return derive_seed(self._plan.seed, label)

    def seeds(self, label: str) -> tuple[int, int]:
        """The seed of runs with this label, and that of the repeat where the first was suspicious."""
        return self.seed(label), self.seed(f"{label}/again")

    def _once(self, order: Order) -> Run:
        number = self._book.next_run()
        first, again = self.seeds(order.seed_label)
        suspected = [run.seed for run in self._book.runs() if run.reason is Reason.SUSPICIOUS and run.asset_sha256 == order.asset_sha256]
        seed = again if first in suspected else first
        self._book.plan_run(
            number,
            experiment=order.experiment,
            kind=order.kind,
            seed=seed,
            asset_sha256=order.asset_sha256,
            for_experiment=order.for_experiment,
            dataset=order.corpus.name,
            data_sha256=order.corpus.sha256,
        )
        self._progress.clock(self._clock.left_s, self._clock.total_s)
        self._progress.run_started(order.experiment, order.kind, self._plan.preset.budget_s)
        request = RunRequest(
            night_id=self._plan.night_id,
            run=number,
            seed=seed,
            files=order.files,
            corpus=order.corpus,
            splits=order.splits,
            per_document=order.per_document,
            startup_calibrated_s=self._belief.startup_s(),
            normal=lambda telemetry, observables: self._disturbance(order, telemetry, observables),
        )
        self._book.advance_run(number, "started", started_at=datetime.now(UTC).isoformat(timespec="milliseconds"))
        try:
            outcome = retrying(self._execution, request, self._progress.note)
        except KeyboardInterrupt:
            self._record(self._row(order, number, seed, RunOutcome(status="interrupted", reason=Reason.INTERRUPTED)))
            raise
        measured = {name: value for score in outcome.scores for name, value in score.observables.items()}
        outcome = replace(outcome, observables={**outcome.observables, **measured})
        doubts = self._doubts(outcome)
        if doubts:  # void, and repeated, the first time an asset is suspicious; rejected the second time
            detail = "; ".join(f"{doubt.name}: {doubt.detail}" for doubt in doubts)
            outcome = replace(outcome, status="rejected" if suspected else "invalid", reason=Reason.SUSPICIOUS, detail=detail)
        run = msgspec.structs.replace(self._row(order, number, seed, outcome), suspicious=[doubt.name for doubt in doubts])
        self._record(run)
        return run

    def _doubts(self, outcome: RunOutcome) -> list[judge.Doubt]:
        if outcome.status != "ok":
            return []
        plan = self._plan
        return judge.doubts(plan.task, plan.profile, outcome.budget_s, outcome.observables, outcome.curve, outcome.scores)

    def _record(self, run: Run) -> None:
        self._book.record_run(run)
        self._book.write_log(run.run, run.log_tail)
        self._belief.add_run(run, run.observables.get(self.throughput_name or ""))
        self._progress.run_finished(run)

    def _disturbance(self, order: Order, telemetry: Telemetry, observables: Mapping[str, float]) -> Reason | None:
        normal = self._belief.normal(order.corpus.name, order.asset_sha256)
        calibrated = self._belief.normal(self._plan.preset.dataset, self._plan.baseline_sha256)
        if normal is None and calibrated is not None:
            normal = judge.expected(
                self._predicted(order.files), self._predicted(self._book.load_asset(self._plan.baseline_sha256)), calibrated
            )
        return judge.disturbance(telemetry, observables.get(self.throughput_name or ""), normal)

    def _row(self, order: Order, number: int, seed: int, outcome: RunOutcome) -> Run:
        plan: NightPlan = self._plan
        score = outcome.scores[0].score if outcome.status == "ok" and outcome.scores else None
        if outcome.status == "ok" and score is None:
            raise ApplianceError(f"run {number} is ok and has no score: the execution broke its contract")
        return Run(
            night_id=plan.night_id,
            experiment=order.experiment,
            run=number,
            for_experiment=order.for_experiment,
            kind=order.kind,  # type: ignore[arg-type]
            status=outcome.status,  # type: ignore[arg-type]
            reason=outcome.reason,
            detail=outcome.detail,
            metric=plan.task.metric.name,
            score=score,
            scores=outcome.scores,
            seed=seed,
            asset_sha256=order.asset_sha256,
            image_digest=plan.image_digest,
            data_sha256=order.corpus.sha256,
            profile_sha256=plan.profile.sha256,
            task_sha256=plan.task_sha256,
            isolation=plan.isolation,
            device=plan.device.slug,
            driver=plan.device.driver,
            torch=plan.versions.get("torch"),
            dataset=order.corpus.name,
            started_at=outcome.started_at,
            create_s=outcome.create_s,
            startup_s=outcome.startup_s,
            budget_s=outcome.budget_s,
            finish_s=outcome.finish_s,
            evaluate_s=outcome.evaluate_s,
            wall_s=outcome.wall_s,
            phases=outcome.phases,
            observables=outcome.observables,
            curve=outcome.curve,
            telemetry=outcome.telemetry,
            log_tail=outcome.log_tail,
            sandbox_failures=outcome.sandbox_failures,
        )


def throughput_of(task: Task) -> str | None:
    """The observable by which a disturbed run is known: the first of that role."""
    return next((name for name, observable in task.observables.items() if observable.role == "throughput"), None)


def derive_seed(night_seed: int, label: str) -> int:
    """A seed below 2³¹ that depends on the night and the label alone."""
    digest = hashlib.sha256(msgspec.json.encode([night_seed, label])).digest()
    return int.from_bytes(digest[:4], "big") >> 1
