"""A night of search on a landscape instead of a machine: the built-in search and its rivals, each under the real judge, run by run.

A landscape scores configurations: `surrogate.Surrogate` by a formula, `recorded.Recorded` from real runs. A run that fails is told to a
policy as the worst score so far, to all of them alike.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

import msgspec
import space

from appliance import judge, tasks
from appliance.agents.search import Search
from appliance.records import Constant, ConstantRange, Device, Experiment, Preset, Profile, Run, Verdict, View

CALIBRATION = 6
Constants = Mapping[str, Constant]
Policy = Callable[[View], Constants | None]
"""View → changed constants; None where nothing is left to try."""


class Landscape(Protocol):
    """What takes the machine's place."""

    loaded: tasks.LoadedTask
    preset: Preset
    profile: Profile
    noise_sd: float
    seconds_per_run: float

    def expected(self, constants: Constants) -> tuple[float | None, dict[str, float]]:
        """Mean score, None where it fails, and observables."""

    def estimate(self, configurations: Sequence[Constants]) -> list[dict[str, Any]]:
        """The task's own prediction."""

    def run(self, constants: Constants, rng: random.Random) -> float | None:
        """Score of one run; None where it fails."""


@dataclass
class Night:
    """A night of runs; everything an agent sees is kept."""

    landscape: Landscape
    seed: int
    incumbent: int = 0
    experiments: list[Experiment] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    fresh: dict[int, list[float]] = field(default_factory=dict)
    assets: dict[int, Mapping[str, str]] = field(default_factory=dict)
    path: list[float] = field(default_factory=list)
    """Expected score of the incumbent after each run: the best that the judge has confirmed."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.reference = self.landscape.loaded.reference(self.landscape.preset)
        self.configurations: dict[int, Constants] = {0: tasks.read_constants(self.reference)}
        for _ in range(CALIBRATION):
            self.run(0, "calibration")

    def run(self, experiment: int, kind: str, for_experiment: int | None = None) -> float | None:
        """One run of an experiment's configuration."""
        score = self.landscape.run(self.configurations[experiment], self.rng)
        if kind != "screen" and score is not None:
            self.fresh.setdefault(experiment, []).append(score)
        self.runs.append(
            msgspec.structs.replace(
                _RUN,
                experiment=experiment,
                run=len(self.runs) + 1,
                kind=kind,
                status="failed" if score is None else "ok",
                score=score,
                for_experiment=for_experiment,
            )
        )
        expected = self.landscape.expected(self.configurations[self.incumbent])[0]
        assert expected is not None, "an incumbent has run"
        self.path.append(expected)
        return score

    def view(self) -> View:
        """What an agent sees."""
        if self.incumbent not in self.assets:  # parsing the asset again for every view was half of a rival's night
            self.assets[self.incumbent] = tasks.replace_constants(self.reference, self.configurations[self.incumbent])
        asset = self.assets[self.incumbent]
        noise = judge.pool(self.fresh.values())
        landscape = self.landscape
        return View(
            task=landscape.loaded.task,
            preset=landscape.preset,
            device=Device(kind="cpu", index=0, name="cpu", slug="cpu"),
            profile=landscape.profile,
            program="",
            asset=asset,
            asset_sha256="0" * 64,
            constants=self.configurations[self.incumbent],
            incumbent=self.incumbent,
            incumbent_score=fmean(self.fresh[self.incumbent]),
            baseline_score=fmean(self.fresh[0]),
            noise_sd=noise.sd if noise else landscape.noise_sd,
            noise_n=noise.df if noise else 0,
            experiments=self.experiments,
            runs=self.runs,
            configurations=self.configurations,
            seconds_left=3600.0,
            seconds_per_run=landscape.seconds_per_run,
            seed=self.seed,
            estimate=landscape.estimate,
            edit=lambda values: tasks.replace_constants(asset, values),
        )

    def experiment(self, change: Constants, budget: int) -> None:
        """Screen, then pairs, as the loop of a night does."""
        number, parent = len(self.experiments) + 1, self.incumbent
        self.configurations[number] = {**self.configurations[parent], **change}
        verdict = self._verdict(number, parent, budget)
        if verdict is Verdict.KEPT:
            self.incumbent = number
        self.experiments.append(msgspec.structs.replace(_EXPERIMENT, experiment=number, verdict=verdict, incumbent=self.incumbent))

    def _verdict(self, number: int, parent: int, budget: int) -> Verdict:
        before, metric = self.fresh[parent][-judge.REFERENCE_RUNS :], self.landscape.loaded.task.metric
        screen, beside = self.run(number, "screen"), list[float]()
        if screen is None:
            return Verdict.FAILED
        while True:
            noise = judge.pool(self.fresh.values())
            assert noise is not None, "calibration comes first"
            step = judge.next_step(metric, screen, before, self.fresh.get(number, []), beside, noise)
            if step.verdict is not None or len(self.runs) >= budget:
                return step.verdict or Verdict.WITHIN_NOISE
            if step.needs == "candidate":
                self.run(number, "replicate")
            else:
                score = self.run(parent, "replicate", number)
                assert score is not None, "an incumbent has run"
                beside.append(score)


def night(landscape: Landscape, policy: Policy, seed: int, runs: int) -> Night:
    """One night of so many runs."""
    state = Night(landscape, seed)
    while len(state.runs) < runs:
        change = policy(state.view())
        if change is None:
            break
        state.experiment(change, runs)
    return state


def ours(seed: int) -> Policy:
    """The built-in search."""
    search = Search(seed)

    def propose(view: View) -> Constants | None:
        proposal = search.propose(view)
        return None if proposal is None else tasks.read_constants(proposal.files)

    return propose


def tpe(seed: int) -> Policy:
    """Optuna's default TPE over all constants."""
    import optuna

    return _sampled(optuna.samplers.TPESampler(seed=seed))


def at_random(seed: int) -> Policy:
    """All constants drawn anew each time."""
    import optuna

    return _sampled(optuna.samplers.RandomSampler(seed=seed))


def climb(seed: int) -> Policy:
    """One constant at a time, a step up or down from the incumbent; the same step again while it is kept."""
    rng = random.Random(seed)
    waiting: list[tuple[str, int]] = []
    last = [("", 0)]

    def propose(view: View) -> Constants | None:
        if view.experiments and view.experiments[-1].verdict is Verdict.KEPT:
            waiting.append(last[0])
        for _ in range(4 * len(view.task.constants)):
            if not waiting:
                waiting.extend((name, way) for name in view.task.constants for way in (-1, 1))
                rng.shuffle(waiting)
            last[0] = name, way = waiting.pop()
            r = view.task.constants[name]
            new = space.value(space.position(view.constants[name], r) + way * space.step(r), r)
            if new != view.constants[name] and {**view.constants, name: new} not in view.configurations.values():
                return {name: new}
        return None

    return propose


POLICIES: Mapping[str, Callable[[int], Policy]] = {"ours": ours, "tpe": tpe, "random": at_random, "climb": climb}


def _sampled(sampler: Any) -> Policy:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    asked: list[Any] = []

    def propose(view: View) -> Constants:
        if asked:
            mine = [r.score for r in view.runs if r.experiment == len(view.experiments) and r.score is not None]
            study.tell(asked.pop(), fmean(mine) if mine else max(r.score for r in view.runs if r.score is not None))
        trial = study.ask()
        asked.append(trial)
        return {name: _suggested(trial, name, r) for name, r in view.task.constants.items()}

    return propose


def _suggested(trial: Any, name: str, r: ConstantRange) -> Constant:
    found: Constant
    if r.type == "bool" or r.choices is not None:
        found = trial.suggest_categorical(name, r.choices or [False, True])
    elif r.type == "int":
        found = trial.suggest_int(name, int(r.low or 0), int(r.high or 0), log=r.log, step=1 if r.log else r.step or 1)
    else:
        found = trial.suggest_float(name, r.low or 0.0, r.high or 0.0, log=r.log)
    return found


_RUN = Run(
    night_id="n", experiment=0, run=1, kind="screen", status="ok", metric="bits_per_byte", seed=1, asset_sha256="0" * 64,
    task_sha256="0" * 64, isolation="none", device="cpu", started_at="",
)  # fmt: skip
_EXPERIMENT = Experiment(
    night_id="n", experiment=1, parent=0, agent="search", hypothesis="", diff="", asset_sha256="0" * 64, verdict=Verdict.WORSE, runs=[],
    incumbent=0, decided_at="",
)  # fmt: skip
