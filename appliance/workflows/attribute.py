"""Which kept changes carry the winner's gain: each is taken out of it in turn, and what is left runs beside the whole winner.

Runs come in groups: the winner, then a few winners without one change, all with one fresh seed, so that a drifting machine moves both
sides. A group holds about √m of m changes: the winner stands in every comparison and so deserves √m times as many runs as each of the
others (C. Dunnett, J. Am. Stat. Assoc. 50 (1955) 1096). Whoever has fewest runs is next, the largest claim first. All of it is counted
from the ledger: a second call goes on where the first stopped, and its runs join the earlier ones.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from appliance import judge, tasks
from appliance.errors import ApplianceError, UsageError
from appliance.ledger import Ledger
from appliance.records import Experiment, Run
from appliance.workflows.assets import Assets
from appliance.workflows.belief import Belief
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus
from appliance.workflows.opening import Aftermath, Reopened, equipped, finished, reopened
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.runs import Order, Runs

_OVERRUN = 1.1
"""A run is begun when the clock still holds this share of its cost."""


def attribute(folder: Path, hours: float, kind: SandboxKind | None, progress: Progress) -> Aftermath:
    """Find out for so many hours which of the winner's changes carry its gain.

    Raises:
        UsageError, PrerequisiteError, ApplianceError: see `reopened`; too few hours for one comparison.
    """
    with reopened(folder, kind, progress) as night:
        return within(night, Clock(hours * 3600), progress)


def within(night: Reopened, clock: Clock, progress: Progress) -> Aftermath:
    """`attribute`, over any execution and clock. Ctrl-C keeps every run that is done."""
    book, place = night.book, night.workplace
    estimator = tasks.Estimator(place.loaded, book.plan.preset, book.plan.profile)
    runs, belief = equipped(book, night.execution, estimator, clock, progress)
    attribution = Attribution(book=book, runs=runs, belief=belief, assets=Assets(book), corpus=place.first, clock=clock, progress=progress)
    needed = 2 * _OVERRUN * attribution.seconds_per_run
    if clock.left_s < needed:
        raise UsageError(f"the winner and the winner without a change take {needed:.0f} s: give --hours {needed / 3600:.2g} or more")
    return finished(book, attribution.run, progress)


@dataclass(frozen=True, kw_only=True, slots=True)
class Without:
    """The winner without one of its changes."""

    change: Experiment
    files: dict[str, str] | None
    """None where it cannot be taken out alone."""
    asset_sha256: str | None
    note: str | None
    """Why not, or what of it stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """One night's attribution."""

    book: Ledger
    runs: Runs
    belief: Belief
    assets: Assets
    corpus: Corpus
    clock: Clock
    progress: Progress

    @property
    def seconds_per_run(self) -> float:
        """Measured, everything included."""
        return self.belief.seconds_per_run() or self.book.plan.preset.budget_s

    def run(self) -> None:
        """Run until the clock is spent; what is known is in the night's state, whatever ends it."""
        parts = [self._without(change) for change in self._changes()]
        self.progress.phase("attribute", f"{len(parts)} kept changes of the winner")
        for part in parts:
            if part.note:
                self.progress.note(f"experiment {part.change.experiment}: {part.note}")
        try:
            while (group := self._next(parts)) and self._time_for(2):
                self._run(group)
        finally:
            self.book.update_state(attribution=self._rows(parts))

    def _changes(self) -> list[Experiment]:
        """The kept changes that make the winner, the largest claim first."""
        known = {experiment.experiment: experiment for experiment in self.book.experiments()}
        chain, number = [], self.belief.incumbent
        while number:
            chain.append(known[number])
            number = known[number].parent
        return sorted(chain, key=lambda change: self._sign * (change.difference or 0.0))

    @property
    def _sign(self) -> float:
        return 1.0 if self.book.plan.task.metric.direction == "lower" else -1.0

    def _without(self, change: Experiment) -> Without:
        winner = self.assets.files(self.belief.incumbent)
        removal = tasks.without(winner, self.assets.files(change.parent), self.assets.files(change.experiment))
        files, note = removal.files, removal.note
        refusal = tasks.refuse(self.book.plan.task, winner, files) if files is not None else None
        if refusal is not None:
            files, note = None, refusal.detail
        if files is None:
            return Without(change=change, files=None, asset_sha256=None, note=f"cannot be taken out alone: {note}")
        return Without(change=change, files=files, asset_sha256=self.book.store_asset(files), note=note)

    def _next(self, parts: Sequence[Without]) -> list[Without]:
        """Those with fewest runs; empty where none can run."""
        able = [part for part in parts if part.files is not None and self._failure(part) is None]
        size = math.ceil(math.sqrt(len(able)))
        return sorted(able, key=lambda part: len(self._scores(part.asset_sha256)))[:size]

    def _run(self, group: Sequence[Without]) -> None:
        winner, seeds = self.belief.incumbent, {run.seed for run in self._attributing()}
        label = next(label for n in itertools.count() if self.runs.seed(label := f"attribute/{n}") not in seeds)
        whole = self._execute(winner, self.assets.files(winner), self.assets.sha256(winner), label)
        if whole.status in ("failed", "rejected"):
            raise ApplianceError(f"the winner does not run any more: {whole.reason}: {whole.detail or whole.log_tail[-300:]}")
        for part in group:
            if not self._time_for(1):
                return
            assert part.files is not None
            assert part.asset_sha256 is not None
            self._execute(part.change.experiment, part.files, part.asset_sha256, label)

    def _execute(self, experiment: int, files: dict[str, str], asset_sha256: str, label: str) -> Run:
        return self.runs.execute(
            Order(experiment=experiment, kind="attribute", files=files, asset_sha256=asset_sha256, seed_label=label, corpus=self.corpus)
        )

    def _time_for(self, runs: int) -> bool:
        return self.clock.left_s > _OVERRUN * runs * self.seconds_per_run

    def _attributing(self) -> list[Run]:
        return [run for run in self.book.runs() if run.kind == "attribute"]

    def _scores(self, asset_sha256: str | None) -> list[float]:
        """Of valid runs."""
        mine = [run for run in self._attributing() if run.asset_sha256 == asset_sha256 and run.status == "ok"]
        return [run.score for run in mine if run.score is not None]

    def _failure(self, part: Without) -> Run | None:
        """A run that shows that the winner does not work without it; None where another one worked."""
        mine = [run for run in self._attributing() if run.asset_sha256 == part.asset_sha256]
        failed = next((run for run in mine if run.status in ("failed", "rejected")), None)
        return failed if not self._scores(part.asset_sha256) else None

    def _rows(self, parts: Sequence[Without]) -> list[dict[str, Any]]:
        """`judge.Part` per change, with its experiment and a note: the largest loss first, then what could not be measured."""
        winner = self._scores(self.assets.sha256(self.belief.incumbent))
        scores = {str(part.change.experiment): self._scores(part.asset_sha256) for part in parts}
        metric, noise = self.book.plan.task.metric, self.belief.noise()
        measured = judge.attribute(metric, winner, scores, noise, self._gain()) if winner and any(scores.values()) else []
        found = {part.change: msgspec.to_builtins(part) for part in measured}
        unknown = {**dict.fromkeys(judge.Part.__struct_fields__), "runs": 0}
        rows = []
        for part in parts:
            row = found.get(str(part.change.experiment), unknown)
            rows.append({**row, "change": part.change.hypothesis, "experiment": part.change.experiment, "note": self._note(part, row)})
        return sorted(rows, key=lambda row: math.inf if row["loss"] is None else -row["loss"])

    def _note(self, part: Without, row: dict[str, Any]) -> str | None:
        failure = self._failure(part)
        if failure is not None:
            return f"the winner does not run without it: {failure.reason}"
        return part.note or (None if row["runs"] else "no time for a run without it")

    def _gain(self) -> float | None:
        """By how much the winner beats the baseline on val, from pairs that nobody selected where there are any; None where it does not."""
        confirmation = self.book.state.confirmation
        val = next((estimate for estimate in confirmation.estimates if estimate.split == "val"), None) if confirmation else None
        baseline = val.baseline_mean if val else self.belief.mean(0)
        winner = val.winner_mean if val else self.belief.mean(self.belief.incumbent)
        gain = self._sign * (baseline - winner) if baseline is not None and winner is not None else 0.0
        return gain if gain > 0 else None
