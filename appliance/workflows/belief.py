"""What a night believes, derived from its recorded runs and experiments alone: so a resumed night believes the same.

A calibration opens an epoch: runs of earlier epochs stay in the ledger and enter no statistic, because the machine was another one then.
Screening runs never count beyond their screen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from appliance import judge
from appliance.records import Experiment, Run, Telemetry, Verdict

FRESH = frozenset({"calibration", "replicate", "rebaseline"})
"""Kinds of run that say what an asset scores without having been selected for it."""


@dataclass(slots=True)
class Belief:
    """Grows with every recorded run and experiment; holds what verdicts need and nothing else."""

    epoch: int = 0
    """Number of calibrations begun."""
    epoch_from: int = 0
    """First run of the present calibration."""
    incumbent: int = 0
    _fresh: dict[int, list[tuple[int | None, float]]] = field(default_factory=dict)
    _screens: dict[int, list[float]] = field(default_factory=dict)
    _groups: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    """(epoch, asset) → fresh scores, of the whole night: noise is pooled over machines too, means are not."""
    _readings: dict[str, tuple[list[float], list[Telemetry]]] = field(default_factory=dict)
    """Asset → throughput and telemetry of its valid runs."""
    _startups: list[float] = field(default_factory=list)
    _walls: list[float] = field(default_factory=list)

    def add_run(self, run: Run, throughput: float | None) -> None:
        """Take in a recorded run; only valid ones count."""
        if run.status != "ok" or run.score is None or run.run < self.epoch_from:
            return
        if run.kind in FRESH:
            self._fresh.setdefault(run.experiment, []).append((run.for_experiment, run.score))
            self._groups.setdefault((self.epoch, run.asset_sha256), []).append(run.score)
        elif run.kind == "screen":
            self._screens.setdefault(run.experiment, []).append(run.score)
        throughputs, telemetry = self._readings.setdefault(f"{run.dataset}/{run.asset_sha256}", ([], []))
        telemetry.append(run.telemetry)
        if throughput is not None:
            throughputs.append(throughput)
        if run.kind == "calibration" and run.startup_s is not None:
            self._startups.append(run.startup_s)
        if run.wall_s is not None and run.kind != "confirm":
            self._walls.append(run.wall_s)

    def add_experiment(self, experiment: Experiment) -> None:
        """Take in a verdict."""
        self.incumbent = experiment.incumbent

    def begin_epoch(self, first_run: int) -> None:
        """Forget every sample: the machine changed, or the night begins."""
        self.epoch += 1
        self.epoch_from = first_run
        self._fresh.clear()
        self._screens.clear()
        self._readings.clear()
        self._startups.clear()

    def fresh(self, experiment: int) -> list[float]:
        """Scores of an experiment's unselected runs in this epoch, oldest first."""
        return [score for _, score in self._fresh.get(experiment, [])]

    def before(self, experiment: int, candidate: int) -> list[float]:
        """The incumbent's newest fresh scores that were not measured for `candidate`'s verdict."""
        return [score for asked, score in self._fresh.get(experiment, []) if asked != candidate][-judge.REFERENCE_RUNS :]

    def beside(self, experiment: int, candidate: int) -> list[float]:
        """The incumbent's fresh scores measured for `candidate`'s verdict."""
        return [score for asked, score in self._fresh.get(experiment, []) if asked == candidate]

    def screens(self, experiment: int) -> list[float]:
        """Scores of an experiment's screening runs."""
        return self._screens.get(experiment, [])

    def mean(self, experiment: int) -> float | None:
        """Mean of the fresh runs."""
        scores = self.fresh(experiment)
        return fmean(scores) if scores else None

    def noise(self) -> judge.Noise | None:
        """Pooled over every asset repeated this night."""
        return judge.pool(self._groups.values())

    def normal(self, dataset: str, asset_sha256: str) -> judge.Normal | None:
        """What undisturbed runs of this asset reach on this machine; None before the first."""
        throughputs, telemetry = self._readings.get(f"{dataset}/{asset_sha256}", ([], []))
        return judge.normal(throughputs, telemetry)

    def startup_s(self) -> float | None:
        """Normal start-up of the unchanged asset."""
        return median(self._startups) if self._startups else None

    def seconds_per_run(self) -> float | None:
        """Measured, everything included; the last ones say what the next will cost."""
        return median(self._walls[-20:]) if self._walls else None


def restored(
    runs: Sequence[Run], experiments: Sequence[Experiment], calibrations: Sequence[Mapping[str, int]], throughput_name: str | None
) -> Belief:
    """The belief of a night that was interrupted."""
    belief = Belief()
    starts = {int(c["first_run"]) for c in calibrations}
    for run in sorted(runs, key=lambda r: r.run):
        for start in sorted(s for s in starts if s <= run.run):
            belief.begin_epoch(start)
            starts.discard(start)
        belief.add_run(run, run.observables.get(throughput_name or ""))
    for start in sorted(starts):
        belief.begin_epoch(start)
    for experiment in sorted(experiments, key=lambda e: e.experiment):
        belief.add_experiment(experiment)
    return belief


def kept(verdict: Verdict) -> bool:
    """Whether a verdict makes its experiment the incumbent."""
    return verdict in (Verdict.KEPT, Verdict.KEPT_SIMPLER)
