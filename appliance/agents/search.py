"""The built-in researcher: needs no key and no network, only the task's constants and its `[estimate]`.

It opens with *sizing*, the step a person takes first on new hardware: for two, four, eight … times the baseline's progress in the
budget, the largest configuration of about the baseline's shape that the estimate says reaches it. The rungs of that ladder are climbed like
a hill, from the middle: a handful of runs. Then half of all other constants are moved at once, a few times, which tells something of each.
What leads after that is refined by a Gaussian process over everything tried (`surface`), whose coordinates are the constants and what the
estimate predicts for them. Candidates are bred from the incumbent and from what was tried; the most promising one is proposed. So it learns
which constants matter, and adds up gains that are too small to be seen one at a time.
"""

import functools
import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from appliance.agents import moves
from appliance.records import Constant, ConstantRange, Experiment, Proposal, Run, View

_FIRST_RUNG = 3
"""Rung n reaches 2ⁿ times the baseline's progress. Others' nights on small devices ended at 13 to 60 times; few were better below 8."""
_LOWEST_RUNG, _HIGHEST_RUNG = -2, 7
_BASELINE = "0"
_FLAT = "f"
"""Marks the rung's largest configuration, whatever its shape: mostly the shallowest."""
_GRID = 12
"""Values tried of each constant that is sized."""
_NEIGHBOURS, _FARTHER = 300, 200
"""Candidates with a few constants moved, and with half of them."""
_GENERATIONS = 4
_PARENTS = 20
_CHILDREN = 150
"""Candidates are bred over a few generations by what the surface expects of them."""
_BOLDNESS = (0.0, 1.0)
"""In turn: by how many standard deviations a candidate's expected score is taken for better than it is."""
_MOST_POINTS = 160
_UNTIL_SURFACE = 13
"""Scored configurations, the baseline among them, before the surface is asked: it learns most from constants that were moved together."""


class Search:
    """Sizing first, then a local search that learns from everything, whoever proposed it."""

    name = "search"

    def __init__(self, seed: int, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self._seed = seed
        self._ladder: dict[str, dict[str, Constant]] | None = state.get("ladder")
        """Rung → its configuration's changes; built at the first proposal."""

    def propose(self, view: View) -> Proposal | None:
        """The next rung of the ladder while it climbs, else the most promising neighbour of the incumbent; None where nothing can move."""
        ranges = {name: r for name, r in view.task.constants.items() if name in view.constants}
        if not ranges:
            return None
        if self._ladder is None:
            self._ladder = _ladder(view, ranges)
        scores = _scores(view)
        rung = self._next_rung(view, scores)
        if rung is not None:
            change = {name: value for name, value in self._ladder[rung].items() if value != view.constants[name]}
            if change and not view.refuse(view.edit(change)):
                return _proposal(view, change, f"sized from the profile for {2.0 ** int(rung.removesuffix(_FLAT)):g} × the progress: ")
        rng = random.Random(f"{self._seed}/{len(view.experiments)}")
        for configuration in self._neighbours(view, ranges, scores, rng):
            change = {name: value for name, value in configuration.items() if name in ranges and value != view.constants[name]}
            if change and not view.refuse(view.edit(change)):
                return _proposal(view, change, "")
        return None

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """Nothing to remember: every view tells all that was tried."""

    def notes(self) -> list[str]:
        """Nothing to say."""
        return []

    def account(self) -> dict[str, Any]:
        """It costs nothing."""
        return {}

    def dump(self) -> dict[str, Any]:
        """The ladder; the rest is in the ledger."""
        return {"ladder": self._ladder}

    def close(self) -> None:
        """Nothing to end."""

    def _next_rung(self, view: View, scores: Mapping[int, tuple[float, int]]) -> str | None:
        """Up from the middle while it gets better, then down; at the top of the hill the other shape; None where all that was tried."""
        assert self._ladder is not None
        sign = 1.0 if view.task.metric.direction == "lower" else -1.0
        reached = {}
        for rung, change in self._ladder.items():
            tried = [n for n, c in view.configurations.items() if all(c.get(name) == value for name, value in change.items())]
            if tried:
                known = [sign * scores[n][0] for n in tried if n in scores]
                reached[rung] = min(known) if known else math.inf
        rungs = sorted((rung for rung in self._ladder if not rung.endswith(_FLAT)), key=int)
        if not rungs:
            return None
        if not set(reached) - {_BASELINE}:
            return min((rung for rung in rungs if rung != _BASELINE), key=lambda r: abs(int(r) - _FIRST_RUNG), default=None)
        best = min(set(rungs) & set(reached), key=reached.__getitem__)
        at = rungs.index(best)
        wanted = [*(rungs[n] for n in (at + 1, at - 1) if 0 <= n < len(rungs)), best + _FLAT]
        return next((rung for rung in wanted if rung in self._ladder and rung not in reached), None)

    def _neighbours(
        self, view: View, ranges: Mapping[str, ConstantRange], scores: Mapping[int, tuple[float, int]], rng: random.Random
    ) -> list[dict[str, Constant]]:
        """Configurations that fit the memory and were not tried, the most promising first."""
        tried = self._telling(view, scores)
        known = [dict(view.configurations[n]) for n in tried]
        pool = _Pool(view, ranges, seen=list(view.configurations.values()))
        pool.add(_moved_at_once(view.constants, ranges, rng) for _ in range(_FARTHER))
        pool.add(_mutated(view.constants, ranges, rng) for _ in range(_NEIGHBOURS))
        if len(tried) < _UNTIL_SURFACE:
            return pool.configurations
        from appliance.agents.surface import Surface

        sign = 1.0 if view.task.metric.direction == "lower" else -1.0
        variance = (view.noise_sd or 0.0) ** 2
        measured = [sign * scores[n][0] for n in tried]
        surface = Surface(pool.points(known), measured, [variance / scores[n][1] for n in tried])
        boldness = _BOLDNESS[len(view.experiments) % len(_BOLDNESS)]
        ordered: list[dict[str, Constant]] = []
        for generation in range(_GENERATIONS):
            if not pool.configurations:
                return []
            mean, sd = surface.predict(pool.coordinates)
            hoped = mean - boldness * sd
            ordered = [pool.configurations[n] for n in hoped.argsort()]
            if generation < _GENERATIONS - 1:
                parents = ordered[:_PARENTS]
                pool.add(_crossed(rng.choice(parents), rng.choice([*parents, *known]), ranges, rng) for _ in range(_CHILDREN))
        return ordered

    @staticmethod
    def _telling(view: View, scores: Mapping[int, tuple[float, int]]) -> list[int]:
        """What the surface is fitted to: everything, in a long night the best and the latest, so that a proposal stays quick."""
        tried = [n for n in view.configurations if n in scores]
        if len(tried) <= _MOST_POINTS:
            return tried
        sign = 1.0 if view.task.metric.direction == "lower" else -1.0
        best = sorted(tried, key=lambda n: sign * scores[n][0])[: _MOST_POINTS * 3 // 4]
        latest = [n for n in tried if n not in best][-(_MOST_POINTS - len(best)) :]
        return sorted({view.incumbent, *best, *latest} & set(tried))


class _Pool:
    """Configurations that fit the memory, each once, with their coordinates."""

    def __init__(self, view: View, ranges: Mapping[str, ConstantRange], seen: Sequence[Mapping[str, Constant]]) -> None:
        self._view, self._names = view, list(ranges)
        self._sizes = [name for name, meaning in view.task.observables.items() if meaning.role in ("progress", "size")]
        self._place = functools.cache(lambda name, value: moves.coordinate(value, ranges[name]))  # most candidates share most constants
        self._seen = {moves.key(configuration) for configuration in seen}
        self._memory = view.profile.usable_memory_bytes or math.inf
        self.configurations: list[dict[str, Constant]] = []
        self.coordinates: list[list[float]] = []

    def add(self, configurations: Iterable[dict[str, Constant]]) -> None:
        """Take in those that are new and fit."""
        fresh = {moves.key(c): c for c in configurations}
        new = [c for place, c in fresh.items() if place not in self._seen]
        self._seen |= set(fresh)
        for configuration, predicted in zip(new, self._view.estimate(new), strict=True):
            if (predicted.get("memory_bytes") or 0) <= self._memory:
                self.configurations.append(configuration)
                self.coordinates.append(self._point(configuration, predicted))

    def points(self, configurations: Sequence[Mapping[str, Constant]]) -> list[list[float]]:
        """Coordinates of others."""
        return [self._point(c, p) for c, p in zip(configurations, self._view.estimate(configurations), strict=True)]

    def _point(self, constants: Mapping[str, Constant], predicted: Mapping[str, Any]) -> list[float]:
        """A configuration's coordinates: its constants, and the predicted progress and size in powers of two, eight of them a range."""
        seen = predicted.get("observables", {})
        sizes = (math.log2(seen[name]) / 8 if seen.get(name) else 0.0 for name in self._sizes)
        return [*(part for name in self._names for part in self._place(name, constants.get(name))), *sizes]


def _mutated(base: Mapping[str, Constant], ranges: Mapping[str, ConstantRange], rng: random.Random) -> dict[str, Constant]:
    """One to three constants moved."""
    names = rng.sample(list(ranges), min(len(ranges), rng.choice((1, 1, 2, 3))))
    reach = rng.choice((0.06, 0.15, 0.3))
    return {**base, **{name: moves.near(base[name], ranges[name], reach, rng) for name in names}}


def _moved_at_once(base: Mapping[str, Constant], ranges: Mapping[str, ConstantRange], rng: random.Random) -> dict[str, Constant]:
    """Half of the constants moved; what the ladder sizes stays."""
    names = [name for name, r in ranges.items() if not (r.size and r.type == "int") and rng.random() < 0.5]
    return {**base, **{name: moves.near(base[name], ranges[name], 0.3, rng) for name in names}}


def _crossed(
    one: Mapping[str, Constant], other: Mapping[str, Constant], ranges: Mapping[str, ConstantRange], rng: random.Random
) -> dict[str, Constant]:
    """Half of what two configurations differ in, sometimes moved on: small gains that no single experiment could show add up."""
    child = {**one, **{name: other[name] for name in ranges if name in other and rng.random() < 0.5}}
    return _mutated(child, ranges, rng) if rng.random() < 0.5 else child


def _ladder(view: View, ranges: Mapping[str, ConstantRange]) -> dict[str, dict[str, Constant]]:
    """For each rung two configurations that reach it and fit the memory: one of the baseline's shape, and the largest.

    Empty where the estimate cannot tell.

    Only whole numbers that decide the configuration's size are moved: they are quantities, not kinds, and what a unit of progress is worth
    stays the same. Progress is the geometric mean over all observables of that role, so that more but smaller steps are no progress by
    themselves. The baseline stands on rung 0; rungs below it are larger and slower.
    """
    progress = [name for name, o in view.task.observables.items() if o.role == "progress"]
    size = next((name for name, o in view.task.observables.items() if o.role == "size"), None)
    whole = {name: r for name, r in ranges.items() if r.size and r.type == "int" and (r.low or 0) > 0 and r.high is not None}
    if not progress or size is None or not whole:
        return {}
    singles = [{}, *({name: value} for name, r in whole.items() for value in _grid(r))]
    base, *moved = (p.get("observables", {}) for p in view.estimate([{**view.constants, **change} for change in singles]))
    sized = sorted({name for change, p in zip(singles[1:], moved, strict=True) for name in change if p.get(size) != base.get(size)})
    if not sized or not all(base.get(name) for name in [*progress, size]):
        return {}
    changes = [dict(zip(sized, values, strict=True)) for values in itertools.product(*(_grid(whole[name]) for name in sized))]
    rungs: dict[int, list[tuple[float, float, dict[str, Constant]]]] = {}
    memory = view.profile.usable_memory_bytes or math.inf
    for change, predicted in zip(changes, view.estimate([{**view.constants, **change} for change in changes]), strict=True):
        seen = predicted.get("observables", {})
        if not all(seen.get(name) for name in [*progress, size]) or (predicted.get("memory_bytes") or 0) > memory:
            continue
        rung = math.floor(fmean(math.log2(seen[name] / base[name]) for name in progress))
        shrinks = [math.log2(float(value) / float(view.constants[name])) for name, value in change.items()]
        large = math.log2(seen[size])
        rungs.setdefault(rung, []).append((large - (max(shrinks) - min(shrinks)), large, change))
    ladder: dict[str, dict[str, Constant]] = {_BASELINE: {name: view.constants[name] for name in sized}}
    for rung, found in sorted(rungs.items()):
        if rung != 0 and _LOWEST_RUNG <= rung <= _HIGHEST_RUNG:
            ladder[str(rung)] = max(found, key=lambda entry: entry[0])[2]
            largest = max(found, key=lambda entry: entry[1])[2]
            if largest != ladder[str(rung)]:
                ladder[str(rung) + _FLAT] = largest
    return ladder


def _grid(r: ConstantRange) -> list[Constant]:
    """Up to `_GRID` values over the range."""
    low, high = r.low or 0.0, r.high or 0.0
    at = [n / (_GRID - 1) for n in range(_GRID)]
    values = [low * (high / low) ** share if r.log else low + (high - low) * share for share in at]
    return sorted({moves.rounded(value, r) for value in values}, key=float)


def _scores(view: View) -> dict[int, tuple[float, int]]:
    """Experiment → mean score and number of its runs; a failed one counts as bad as the worst that ran."""
    found: dict[int, list[float]] = {}
    for run in view.runs:
        if run.status == "ok" and run.score is not None and run.kind not in ("confirm", "attribute"):
            found.setdefault(run.experiment, []).append(run.score)
    scores = {n: (fmean(values), len(values)) for n, values in found.items()}
    if scores:
        worst = (max if view.task.metric.direction == "lower" else min)(score for score, _ in scores.values())
        for n in view.configurations:
            scores.setdefault(n, (worst, 1))
    return scores


def _proposal(view: View, change: Mapping[str, Constant], why: str) -> Proposal:
    hypothesis = why + moves.listed(view.constants, change)
    return Proposal(files=view.edit(change), hypothesis=hypothesis, agent=Search.name, parent_sha256=view.asset_sha256)
