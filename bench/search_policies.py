"""Search policies on the surrogate, under the real judge: expected score of the incumbent against runs spent."""

import argparse
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, quantiles
from typing import Any

import msgspec
from surrogate import NOISE_SD, PROFILE, Surrogate

from appliance import judge, tasks
from appliance.agents.search import Search
from appliance.records import Constant, Device, Experiment, Run, Verdict, View

CALIBRATION = 6
Policy = Callable[[View], Mapping[str, Constant] | None]
"""View → changed constants."""


@dataclass
class Night:
    """A night of runs on the surrogate; everything an agent sees is kept."""

    surrogate: Surrogate
    seed: int
    incumbent: int = 0
    experiments: list[Experiment] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    fresh: dict[int, list[float]] = field(default_factory=dict)
    path: list[float] = field(default_factory=list)
    """Expected score of the incumbent after each run."""

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.reference = self.surrogate.loaded.reference(self.surrogate.preset)
        self.configurations: dict[int, dict[str, Constant]] = {0: tasks.read_constants(self.reference)}
        for _ in range(CALIBRATION):
            self.run(0, "calibration")

    def run(self, experiment: int, kind: str, for_experiment: int | None = None) -> float:
        """One run of an experiment's configuration."""
        score = self.surrogate.run(self.configurations[experiment], self.rng)
        if kind != "screen":
            self.fresh.setdefault(experiment, []).append(score)
        self.runs.append(
            msgspec.structs.replace(
                _RUN, experiment=experiment, run=len(self.runs) + 1, kind=kind, score=score, for_experiment=for_experiment
            )
        )
        self.path.append(self.surrogate.expected(self.configurations[self.incumbent])[0])
        return score

    def view(self) -> View:
        """What an agent sees."""
        asset = tasks.replace_constants(self.reference, self.configurations[self.incumbent])
        noise = judge.pool(self.fresh.values())
        return View(
            task=self.surrogate.loaded.task,
            preset=self.surrogate.preset,
            device=Device(kind="cpu", index=0, name="cpu", slug="cpu"),
            profile=PROFILE,
            program="",
            asset=asset,
            asset_sha256="0" * 64,
            constants=self.configurations[self.incumbent],
            incumbent=self.incumbent,
            incumbent_score=fmean(self.fresh[self.incumbent]),
            baseline_score=fmean(self.fresh[0]),
            noise_sd=noise.sd if noise else NOISE_SD,
            noise_n=noise.df if noise else 0,
            experiments=self.experiments,
            runs=self.runs,
            configurations=self.configurations,
            seconds_left=3600.0,
            seconds_per_run=36.0,
            seed=self.seed,
            estimate=self.surrogate.estimate,
            edit=lambda values: tasks.replace_constants(asset, values),
        )

    def experiment(self, change: Mapping[str, Constant], budget: int) -> None:
        """Screen, then pairs, as the loop of a night does."""
        number, parent = len(self.experiments) + 1, self.incumbent
        self.configurations[number] = {**self.configurations[parent], **change}
        before, metric = self.fresh[parent][-judge.REFERENCE_RUNS :], self.surrogate.loaded.task.metric
        screen, beside = self.run(number, "screen"), list[float]()
        while True:
            noise = judge.pool(self.fresh.values())
            assert noise is not None
            step = judge.next_step(metric, screen, before, self.fresh.get(number, []), beside, noise)
            if step.verdict is not None or len(self.runs) >= budget:
                break
            if step.needs == "candidate":
                self.run(number, "replicate")
            else:
                beside.append(self.run(parent, "replicate", number))
        if step.verdict is Verdict.KEPT:
            self.incumbent = number
        self.experiments.append(msgspec.structs.replace(_EXPERIMENT, experiment=number, verdict=step.verdict or Verdict.WITHIN_NOISE))


def night(surrogate: Surrogate, policy: Policy, seed: int, runs: int) -> Night:
    """One night of so many runs."""
    state = Night(surrogate, seed)
    while len(state.runs) < runs:
        change = policy(state.view())
        if change is None:
            break
        state.experiment(change, runs)
    return state


def ours(seed: int) -> Policy:
    """The built-in search."""
    search = Search(seed)

    def propose(view: View) -> Mapping[str, Constant] | None:
        proposal = search.propose(view)
        return None if proposal is None else tasks.read_constants(proposal.files)

    return propose


def tpe(seed: int) -> Policy:
    """Optuna's default TPE over all constants."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    asked: list[Any] = []

    def propose(view: View) -> Mapping[str, Constant]:
        if asked:
            mine = [r.score for r in view.runs if r.experiment == len(view.experiments) and r.score is not None]
            study.tell(asked.pop(), fmean(mine))
        trial = study.ask()
        asked.append(trial)
        change: dict[str, Constant] = {}
        for name, r in view.task.constants.items():
            if r.type == "bool":
                change[name] = trial.suggest_categorical(name, [False, True])
            elif r.choices is not None:
                change[name] = trial.suggest_categorical(name, r.choices)
            elif r.type == "int":
                change[name] = trial.suggest_int(name, int(r.low or 0), int(r.high or 0), log=r.log, step=1 if r.log else r.step or 1)
            else:
                change[name] = trial.suggest_float(name, r.low or 0.0, r.high or 0.0, log=r.log)
        return change

    return propose


_RUN = Run(
    night_id="n", experiment=0, run=1, kind="screen", status="ok", metric="bits_per_byte", seed=1, asset_sha256="0" * 64,
    task_sha256="0" * 64, isolation="none", device="cpu", started_at="",
)  # fmt: skip
_EXPERIMENT = Experiment(
    night_id="n", experiment=1, parent=0, agent="search", hypothesis="", diff="", asset_sha256="0" * 64, verdict=Verdict.WORSE, runs=[],
    incumbent=0, decided_at="",
)  # fmt: skip


def main() -> None:
    """A table: policy, runs → median reduction with quartiles."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=140)
    parser.add_argument("--policies", default="ours,tpe")
    chosen = parser.parse_args()
    surrogate = Surrogate()
    base = surrogate.expected(tasks.read_constants(surrogate.loaded.reference(surrogate.preset)))[0]
    at = [n for n in (20, 30, 45, 60, 80, 100, 140, 180) if n <= chosen.runs]
    for name in chosen.policies.split(","):
        nights = [night(surrogate, {"ours": ours, "tpe": tpe}[name](seed), seed, chosen.runs) for seed in range(chosen.seeds)]
        cells = []
        for n in at:
            gains = [100 * (state.path[min(n, len(state.path)) - 1] / base - 1) for state in nights]
            low, middle, high = quantiles(gains, n=4) if len(gains) > 1 else (gains[0],) * 3
            cells.append(f"{n}: {middle:.1f} [{low:.1f}, {high:.1f}]")
        kept = fmean(sum(e.verdict is Verdict.KEPT for e in state.experiments) for state in nights)
        print(f"{name:<6} {kept:.1f} kept of {fmean(len(s.experiments) for s in nights):.0f}; % by runs {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
