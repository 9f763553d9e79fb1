"""The built-in researcher: needs no key and no network, only the task's constants and its `[estimate]`.

It opens with *sizing*: configurations drawn from the ranges are costed by the task's estimate, and a ladder is tried that reaches two,
four, eight … times the baseline's progress in the budget, each rung the largest configuration that still reaches it. That is the step a
person takes first on new hardware, and it needs a handful of runs. What leads after that is refined by Optuna's TPE, asked for a
few constants at a time around the incumbent; which constants those are is drawn by how often changing them has paid so far.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.records import Constant, ConstantRange, Experiment, Proposal, Run, Verdict, View

_DRAWS = 3000
"""Configurations costed when the ladder is built; the estimate answers in well under a second."""
_RUNGS = (2.0, 4.0, 8.0, 16.0, 32.0)
_TRIES = 200


class Search:
    """Sizing first, then local search with memory."""

    name = "search"

    def __init__(self, seed: int, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self._seed = seed
        self._ladder: list[dict[str, Constant]] | None = state.get("ladder")
        self._trials: list[dict[str, Any]] = list(state.get("trials", []))
        self._pending: dict[str, dict[str, Any]] = dict(state.get("pending", {}))

    def propose(self, view: View) -> Proposal | None:
        """A rung of the ladder while there is one, else a change of a few constants of the incumbent."""
        ranges = {name: r for name, r in view.task.constants.items() if name in view.constants}
        if not ranges:
            return None
        if self._ladder is None:
            self._ladder = self._build_ladder(view, ranges)
        if self._ladder:
            change = self._ladder.pop(0)
            return self._proposal(view, change, "sized from the profile: " + _listed(view.constants, change))
        rng = random.Random(f"{self._seed}/{len(self._trials)}/{len(view.experiments)}")
        seen = {_key({**view.constants, **c}) for c in view.configurations.values()}
        for _ in range(_TRIES):
            names = self._choose(rng, ranges)
            change = self._suggest(view, {name: ranges[name] for name in names}, rng)
            change = {name: value for name, value in change.items() if value != view.constants[name]}
            if change and _key({**view.constants, **change}) not in seen and self._affordable(view, change):
                return self._proposal(view, change, "try " + _listed(view.constants, change))
        return None

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """Remember the change and its first score."""
        pending = self._pending.pop(proposal.note or "", None)
        if pending is None:
            return
        scores = [run.score for run in runs if run.status == "ok" and run.score is not None]
        self._trials.append(
            {
                "changed": pending["changed"],
                "constants": pending["constants"],
                "score": sum(scores) / len(scores) if scores else None,
                "kept": experiment.verdict in (Verdict.KEPT, Verdict.KEPT_SIMPLER),
            }
        )

    def notes(self) -> list[str]:
        """Nothing to say."""
        return []

    def account(self) -> dict[str, Any]:
        """It costs nothing."""
        return {}

    def dump(self) -> dict[str, Any]:
        """Ladder, trials and what is under way."""
        return {"ladder": self._ladder, "trials": self._trials, "pending": self._pending}

    def close(self) -> None:
        """Nothing to end."""

    def _proposal(self, view: View, change: Mapping[str, Constant], hypothesis: str) -> Proposal:
        handle = f"{len(view.experiments)}-{len(self._trials)}"
        self._pending[handle] = {"changed": sorted(change), "constants": {**view.constants, **change}}
        return Proposal(files=view.edit(change), hypothesis=hypothesis, agent=self.name, parent_sha256=view.asset_sha256, note=handle)

    def _build_ladder(self, view: View, ranges: Mapping[str, ConstantRange]) -> list[dict[str, Constant]]:
        """For each rung the largest drawn configuration that reaches it and fits the memory."""
        sizes = {name: r for name, r in ranges.items() if r.size}
        progress = [name for name, o in view.task.observables.items() if o.role == "progress"]
        largest = [name for name, o in view.task.observables.items() if o.role == "size"]
        if not sizes or not progress or not largest:
            return []
        rng = random.Random(f"{self._seed}/ladder")
        draws = [{name: _draw(r, rng) for name, r in sizes.items()} for _ in range(_DRAWS)]
        base, *predicted = view.estimate([dict(view.constants), *({**view.constants, **draw} for draw in draws)])
        base_progress = base.get("observables", {}).get(progress[0])
        if not base_progress:
            return []
        memory = view.profile.usable_memory_bytes or math.inf
        rated = [
            (p["observables"][progress[0]] / base_progress, p["observables"].get(largest[0], 0.0), draw)
            for p, draw in zip(predicted, draws, strict=True)
            if p.get("observables", {}).get(progress[0]) and (p.get("memory_bytes") or 0) <= memory
        ]
        ladder = []
        for rung in _RUNGS:
            reaching = [entry for entry in rated if rung <= entry[0] < 2 * rung]
            if reaching:
                ladder.append(max(reaching, key=lambda entry: entry[1])[2])
        return ladder

    def _choose(self, rng: random.Random, ranges: Mapping[str, ConstantRange]) -> list[str]:
        """One to three constants, those whose changes paid more often first."""
        weights = []
        for name in ranges:
            tried = [t for t in self._trials if name in t["changed"] and len(t["changed"]) <= 3]
            paid = sum(bool(t["kept"]) for t in tried)
            weights.append(rng.betavariate(1 + paid, 2 + len(tried) - paid))
        count = rng.choice((1, 1, 2, 2, 3))
        ranked = sorted(zip(weights, ranges, strict=True), reverse=True)
        return [name for _, name in ranked[:count]]

    def _suggest(self, view: View, ranges: Mapping[str, ConstantRange], rng: random.Random) -> dict[str, Constant]:
        """TPE over these constants alone, taught by every trial; a draw near the incumbent while it knows too little."""
        told = [t for t in self._trials if t["score"] is not None]
        if len(told) < 8 or rng.random() < 0.5:
            return {name: _near(view.constants[name], r, rng) for name, r in ranges.items()}
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sign = "minimize" if view.task.metric.direction == "lower" else "maximize"
        sampler = optuna.samplers.TPESampler(seed=rng.randrange(2**31), n_startup_trials=4)
        study = optuna.create_study(direction=sign, sampler=sampler)
        space = {name: _distribution(r) for name, r in ranges.items()}
        for trial in told:
            values = {name: trial["constants"].get(name) for name in space}
            if all(_contains(space[name], value) for name, value in values.items()):
                study.add_trial(optuna.trial.create_trial(params=values, distributions=space, value=trial["score"]))
        asked = study.ask(space).params
        return {name: _rounded(value, ranges[name]) if isinstance(value, float) else value for name, value in asked.items()}

    @staticmethod
    def _affordable(view: View, change: Mapping[str, Constant]) -> bool:
        predicted = view.estimate([{**view.constants, **change}])[0]
        memory = predicted.get("memory_bytes")
        return memory is None or memory <= (view.profile.usable_memory_bytes or math.inf)


def _draw(r: ConstantRange, rng: random.Random) -> Constant:
    if r.type == "bool":
        return rng.random() < 0.5
    if r.choices is not None:
        return rng.choice(r.choices)
    low, high = r.low or 0.0, r.high or 0.0
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if r.log else rng.uniform(low, high)
    return _rounded(value, r)


def _near(value: Constant, r: ConstantRange, rng: random.Random) -> Constant:
    """A neighbour: the other truth, another choice, a fifth of the range away at one sigma."""
    if r.type == "bool":
        return not value
    if r.choices is not None:
        if isinstance(value, str) or value not in r.choices:
            return rng.choice(r.choices)
        place = r.choices.index(value) + rng.choice((-1, 1))
        return r.choices[min(max(place, 0), len(r.choices) - 1)]
    low, high = r.low or 0.0, r.high or 0.0
    old = min(max(float(value), low), high)
    if r.log:
        new = math.exp(math.log(old) + rng.gauss(0, 0.2) * math.log(high / low))
    else:
        new = old + rng.gauss(0, 0.2) * (high - low)
    moved = _rounded(min(max(new, low), high), r)
    if moved == value and r.type == "int":
        moved = _rounded(min(max(old + rng.choice((-1, 1)) * (r.step or 1), low), high), r)
    return moved


def _rounded(value: float, r: ConstantRange) -> Constant:
    if r.type == "int":
        step = r.step or 1
        low = int(r.low or 0)
        return low + round((value - low) / step) * step
    return float(f"{value:.3g}")


def _distribution(r: ConstantRange) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if r.type == "bool":
        return CategoricalDistribution((False, True))
    if r.choices is not None:
        return CategoricalDistribution(tuple(r.choices))
    if r.type == "int":
        return IntDistribution(int(r.low or 0), int(r.high or 0), log=r.log, step=1 if r.log else (r.step or 1))
    return FloatDistribution(r.low or 0.0, r.high or 0.0, log=r.log)


def _contains(distribution: Any, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def _key(constants: Mapping[str, Constant]) -> tuple[tuple[str, Constant], ...]:
    return tuple(sorted(constants.items()))


def _listed(old: Mapping[str, Constant], change: Mapping[str, Constant]) -> str:
    return ", ".join(f"{name} {old[name]} → {value}" for name, value in sorted(change.items()))
