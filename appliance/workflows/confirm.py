"""Baseline and winner, interleaved, fresh seeds, on the sealed test split and on a second corpus: at the end of a night, and again later.

One training of the first corpus is scored on val, test and the second corpus's text (`transfer_model`: same model, other text). The same
configuration trained on the second corpus is scored on that corpus's own test split (`transfer_configuration`). Counting from the ledger
alone, so an interrupted confirmation goes on where it stopped.

Pairs that are run later join those that are there. None is ever left out: whoever asks again until the answer pleases would else choose it.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance import judge, tasks
from appliance.ledger import Ledger
from appliance.records import Confirmation, Estimate, Run, Score
from appliance.workflows import testuses
from appliance.workflows.assets import Assets
from appliance.workflows.belief import Belief
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus
from appliance.workflows.opening import Aftermath, Reopened, equipped, finished, reopened
from appliance.workflows.place import SandboxKind
from appliance.workflows.progress import Progress
from appliance.workflows.runs import Order, Runs

_OVERRUN = 1.25
"""A pair is begun when the clock still holds this share of its cost."""


def confirm(folder: Path, pairs: int, kind: SandboxKind | None, progress: Progress) -> Aftermath:
    """Confirm a night's winner with so many fresh pairs on each corpus, beside those that were run before.

    Raises:
        UsageError, PrerequisiteError, ApplianceError: see `reopened`; nothing was changed.
    """
    with reopened(folder, kind, progress) as night:
        return again(night, pairs, progress)


def again(night: Reopened, pairs: int, progress: Progress) -> Aftermath:
    """`confirm`, over any execution. Ctrl-C keeps the pairs that are whole."""
    book, place = night.book, night.workplace
    clock = Clock(book.plan.hours * 3600)  # bounds the waiting for calm alone
    estimator = tasks.Estimator(place.loaded, book.plan.preset, book.plan.profile)
    runs, belief = equipped(book, night.execution, estimator, clock, progress)
    confirmation = Confirm(book=book, runs=runs, assets=Assets(book), first=place.first, second=place.second, clock=None, progress=progress)

    def work() -> None:
        progress.phase("confirm", f"{pairs} fresh pairs on each corpus")
        try:
            confirmation.fresh(belief.incumbent, pairs)
        finally:
            book.update_state(confirmation=confirmation.conclude(belief.incumbent, claim(belief)))

    return finished(book, work, progress)


def claim(belief: Belief) -> float | None:
    """The search's own: the winner's relative difference on val, from its fresh runs."""
    baseline, winner = belief.mean(0), belief.mean(belief.incumbent)
    return winner / baseline - 1 if baseline and winner is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirm:
    """One night's confirmation."""

    book: Ledger
    runs: Runs
    assets: Assets
    first: Corpus
    second: Corpus | None
    clock: Clock | None
    """None: no limit but the pairs."""
    progress: Progress

    def run(self, winner: int, plan: judge.ConfirmationPlan, claimed: float | None, seconds_per_run: float) -> Confirmation:
        """Run what is missing of the planned pairs, and say what they show."""
        if winner == 0:
            return Confirmation(status="no_winner", reason="nothing was kept: the baseline leads")
        for corpus, pairs in ((self.first, plan.test_pairs), (self.second, plan.transfer_pairs)):
            if corpus is not None:
                self._pairs(winner, corpus, self._own(winner, corpus, pairs), seconds_per_run)
        return self.conclude(winner, claimed, plan.reason)

    def fresh(self, winner: int, pairs: int) -> None:
        """Run so many pairs on each corpus with seeds that no confirmation of this night had."""
        for corpus in (self.first, self.second):
            if corpus is not None:
                begun = self._begun(corpus)
                self._pairs(winner, corpus, range(begun, begun + pairs))

    def conclude(self, winner: int, claimed: float | None, unfit: str | None = None) -> Confirmation:
        """What all pairs so far show; unfit: why the plan could not hold enough of them."""
        estimates = self._estimates(winner)
        status, reason = judge.status(estimates, transfer_wanted=self.second is not None)
        tested = next((e.relative for e in estimates if e.split == "test"), None)
        return Confirmation(
            status=status,
            reason=unfit if status == "not_run" and unfit else reason,
            estimates=estimates,
            claimed=claimed,
            shrinkage=judge.shrinkage(claimed, tested) if tested is not None else None,
        )

    def _pairs(self, winner: int, corpus: Corpus, indices: Sequence[int], seconds_per_run: float = 0.0) -> None:
        for nth, index in enumerate(indices, 1):
            missing = [e for e in _order(winner, index) if self._find(e, corpus, index) is None]
            if missing and self.clock is not None and self.clock.left_s < _OVERRUN * len(missing) * seconds_per_run - seconds_per_run * 0.5:
                self.progress.note(f"no time for pair {nth} of {len(indices)} on {corpus.name}")
                return
            if missing:
                testuses.count(corpus.sha256, self.book.plan.night_id)
            for experiment in missing:
                self.runs.execute(
                    Order(
                        experiment=experiment,
                        kind="confirm",
                        files=self.assets.files(experiment),
                        asset_sha256=self.assets.sha256(experiment),
                        seed_label=_label(corpus, index),
                        corpus=corpus,
                        splits=self._splits(corpus),
                        per_document=True,
                    )
                )

    def _splits(self, corpus: Corpus) -> tuple[str, ...]:
        if corpus is self.second:
            return ("test",)
        return ("val", "test", "transfer") if "transfer" in corpus.splits else ("val", "test")

    def _find(self, experiment: int, corpus: Corpus, index: int) -> Run | None:
        """The run of that half of that pair; a failed one counts as done, an invalid one does not."""
        seeds = self.runs.seeds(_label(corpus, index))
        for run in self.book.runs():
            same = run.kind == "confirm" and run.experiment == experiment and run.seed in seeds and run.dataset == corpus.name
            if same and run.status in ("ok", "failed", "rejected"):
                return run
        return None

    def _estimates(self, winner: int) -> list[Estimate]:
        named: list[tuple[Corpus, str, Literal["val", "test", "transfer_model", "transfer_configuration"]]] = [
            (self.first, "val", "val"),
            (self.first, "test", "test"),
            (self.first, "transfer", "transfer_model"),
        ]
        if self.second is not None:
            named.append((self.second, "test", "transfer_configuration"))
        estimates = []
        for corpus, split, name in named:
            pairs = self._scored(winner, corpus, split)
            if len(pairs) >= 2:
                baseline, best = [b for b, _ in pairs], [w for _, w in pairs]
                documents = all(s.documents for pair in pairs for s in pair)
                estimates.append(
                    judge.estimate(
                        name,
                        self.book.plan.task.metric,
                        [s.score for s in baseline],
                        [s.score for s in best],
                        [s.documents for s in baseline] if documents else (),
                        [s.documents for s in best] if documents else (),
                    )
                )
        return estimates

    def _scored(self, winner: int, corpus: Corpus, split: str) -> list[tuple[Score, Score]]:
        pairs = []
        for index in range(self._begun(corpus)):
            halves = [self._score(self._find(experiment, corpus, index), split) for experiment in (0, winner)]
            if halves[0] is not None and halves[1] is not None:
                pairs.append((halves[0], halves[1]))
        return pairs

    def _begun(self, corpus: Corpus) -> int:
        """The lowest index whose seed no confirmation of this night had."""
        seeds = self._seeds(lambda run: run.dataset == corpus.name)
        return next(index for index in itertools.count() if self.runs.seed(_label(corpus, index)) not in seeds)

    def _own(self, winner: int, corpus: Corpus, pairs: int) -> list[int]:
        """The first pairs in which no other winner ran: that one's baseline and this one's winner would be halves of different hours."""
        others = self._seeds(lambda run: run.experiment not in (0, winner))
        free = (index for index in itertools.count() if self.runs.seed(_label(corpus, index)) not in others)
        return list(itertools.islice(free, pairs))

    def _seeds(self, of: Callable[[Run], bool]) -> set[int | None]:
        return {run.seed for run in self.book.runs() if run.kind == "confirm" and of(run)}

    def _score(self, run: Run | None, split: str) -> Score | None:
        if run is None or run.status != "ok":
            return None
        whole = self.book.run(run.run)
        return next((score for score in whole.scores if score.split == split), None)


def _label(corpus: Corpus, index: int) -> str:
    return f"confirm/{corpus.name}/{index}"


def _order(winner: int, index: int) -> Sequence[int]:
    """Who goes first alternates, so that a drifting machine favours neither."""
    return (0, winner) if index % 2 == 0 else (winner, 0)
