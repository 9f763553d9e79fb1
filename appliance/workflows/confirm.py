"""The end of a night: baseline and winner, interleaved, fresh seeds, on the sealed test split and on a second corpus.

One training of the first corpus is scored on val, test and the second corpus's text (`transfer_model`: same model, other text). The same
configuration trained on the second corpus is scored on that corpus's own test split (`transfer_configuration`). Counting from the ledger
alone, so an interrupted confirmation goes on where it stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from appliance import judge
from appliance.ledger import Ledger
from appliance.records import Confirmation, Estimate, Run, Score
from appliance.workflows.assets import Assets
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus
from appliance.workflows.progress import Progress
from appliance.workflows.runs import Order, Runs

_MOST_PAIRS = 64
_OVERRUN = 1.25
"""A pair is begun when the clock still holds this share of its cost."""


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
        self._pairs(winner, self.first, plan.test_pairs, seconds_per_run)
        if self.second is not None:
            self._pairs(winner, self.second, plan.transfer_pairs, seconds_per_run)
        estimates = self._estimates(winner)
        status, reason = judge.status(estimates, transfer_wanted=self.second is not None)
        tested = next((e.relative for e in estimates if e.split == "test"), None)
        return Confirmation(
            status=status,
            reason=plan.reason if status == "not_run" and plan.reason else reason,
            estimates=estimates,
            claimed=claimed,
            shrinkage=judge.shrinkage(claimed, tested) if tested is not None else None,
        )

    def _pairs(self, winner: int, corpus: Corpus, wanted: int, seconds_per_run: float) -> None:
        for index in range(wanted):
            missing = [e for e in _order(winner, index) if self._find(e, corpus, index) is None]
            if missing and self.clock is not None and self.clock.left_s < _OVERRUN * len(missing) * seconds_per_run - seconds_per_run * 0.5:
                self.progress.note(f"no time for pair {index + 1} of {wanted} on {corpus.name}")
                return
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
        seed = self.runs.seed(_label(corpus, index))
        for run in self.book.runs():
            same = run.kind == "confirm" and run.experiment == experiment and run.seed == seed and run.dataset == corpus.name
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
        for index in range(_MOST_PAIRS):
            halves = [self._score(self._find(experiment, corpus, index), split) for experiment in (0, winner)]
            if halves[0] is not None and halves[1] is not None:
                pairs.append((halves[0], halves[1]))
        return pairs

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
