"""Recorded runs of the real trainer: the table, and a surrogate that answers for configurations between them.

The table is `<name>.csv`, one row a run, with `<name>.json` beside it: task, preset, device and profile of the machine they ran on.

The surrogate is a Gaussian process on the logarithm of the score: a quadratic trend and a Matérn 5/2 kernel over the constants' places in
their ranges and the estimate's steps, tokens and size. (The built-in search models the score itself, with a length for each constant and no
trend: it does not replay on its own model.) Kernel weights are those with the least leave-one-out error (C. Rasmussen, C. Williams:
Gaussian Processes for Machine Learning, 2006, sec. 5.4.2). Its answer is never better than the best that it makes of a recorded run, by
more than that error among the better half of the runs, where nights end. A configuration fails that cannot make a step in its budget, or
whose nearest recorded neighbour failed.
"""

import csv
import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from space import Ranges, position
from surrogate import load_estimate

from appliance import judge, tasks
from appliance.errors import UsageError
from appliance.records import Constant, ConstantRange, Profile
from appliance.records.base import Record

Array = NDArray[np.float64]

TABLE = Path(__file__).parent / "data" / "search_runs"
"""Without its suffixes."""
_FIELDS = ("index", "why", "seed", "status", "reason", "score", "steps", "seconds")
_TREND, _LENGTH, _NOISE = (0.01, 0.1, 1.0), (0.25, 0.5, 1.0, 2.0, 4.0), (1e-3, 1e-2, 1e-1)
"""Tried: variance of the trend, length of the kernel in units of the mean distance, variance of the noise; all for scores of variance 1."""


class Machine(Record, frozen=True, kw_only=True):
    """What all runs of a table have in common."""

    format_version: int = 1
    task: str
    task_sha256: str
    preset: str
    device: str
    isolation: str
    profile: Profile


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One run."""

    index: int
    why: str
    """`wide`, `fitting`, `near` the best so far, `promised` by the surrogate; `reference` and `best` are repeats."""
    seed: int
    status: str
    reason: str = ""
    score: float | None = None
    """None unless the status is ok."""
    steps: float | None = None
    seconds: float
    """Wall clock, evaluation included."""
    constants: Mapping[str, Constant] = field(default_factory=dict)


def read(table: Path, ranges: Ranges) -> list[Row]:
    """The rows of a table; none where it is not there.

    Raises:
        UsageError: its columns are not those of these constants.
    """
    file = table.with_suffix(".csv")
    if not file.is_file():
        return []
    with file.open(newline="") as lines:
        reader = csv.DictReader(lines)
        if list(reader.fieldnames or []) != [*_FIELDS, *ranges]:
            raise UsageError(f"{file} has other columns than the task has constants: give another --table")
        return [_row(cells, ranges) for cells in reader]


def append(table: Path, row: Row, ranges: Ranges) -> None:
    """Add a row; the head where the table is new."""
    file = table.with_suffix(".csv")
    new = not file.is_file()
    with file.open("a", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        if new:
            writer.writerow([*_FIELDS, *ranges])
        cells = [getattr(row, name) for name in _FIELDS]
        writer.writerow(["" if cell is None else cell for cell in (*cells, *(row.constants[name] for name in ranges))])


def machine(table: Path) -> Machine:
    """What the rows stand on.

    Raises:
        UsageError: missing or damaged.
    """
    file = table.with_suffix(".json")
    try:
        return msgspec.json.decode(file.read_bytes(), type=Machine)
    except FileNotFoundError:
        raise UsageError(
            f"there is no {file}: record runs first (make bench-search-record), or replay on the formula with --stand-in"
        ) from None
    except msgspec.MsgspecError as error:
        raise UsageError(f"{file}: {error}") from error


def hopeless(predicted: Mapping[str, Any], budget_s: float, memory_bytes: float | None) -> bool:
    """No step fits into the budget, or the memory does not suffice: certain to fail, so that nobody waits for it."""
    return bool(predicted.get("seconds", 0.0) > budget_s or predicted.get("memory_bytes", 0.0) > (memory_bytes or math.inf))


class Recorded:
    """Scores configurations from a table; the same interface as `surrogate.Surrogate`."""

    def __init__(self, rows: Sequence[Row], about: Machine) -> None:
        self.loaded = tasks.load(about.task)
        self.preset = self.loaded.task.presets[about.preset]
        self.profile = about.profile
        self._ranges = self.loaded.task.constants
        self._base = tasks.read_constants(self.loaded.reference(self.preset))
        self._estimate = load_estimate(self.loaded)
        told = [row for row in rows if row.status != "invalid"]
        good = [row for row in told if row.score is not None]
        if len(good) < 2 * len(self._ranges):
            raise UsageError(f"the table has {len(good)} scored runs, fewer than {2 * len(self._ranges)}: record more")
        noise = judge.pool(_repeats(good))
        if noise is None:
            raise UsageError("no configuration of the table ran twice: its noise is unknown; record more")
        self.noise_sd = noise.sd
        self.seconds_per_run = float(np.median([row.seconds for row in good]))
        configurations = [row.constants for row in told]
        self._told = np.array(self._points(configurations, self.estimate(configurations)))
        self._failed = np.array([row.score is None for row in told])
        self._process = Process(self._told[~self._failed], np.log([row.score for row in good if row.score is not None]))
        self.scored = len(good)
        self.error = self._process.error(np.exp)
        """Root mean square of what the better half of the recorded scores differ from the prediction without each, in the metric's unit;
        noise included."""
        self._bound = float(np.exp(self._process.predict(self._told[~self._failed])).min()) - self.error
        self._known: dict[tuple[tuple[str, Constant], ...], tuple[float | None, dict[str, float]]] = {}

    def expected(self, constants: Mapping[str, Constant]) -> tuple[float | None, dict[str, float]]:
        """Mean score, None where it fails, and observables."""
        key = tuple(sorted(constants.items()))
        if key not in self._known:
            predicted = self.estimate([constants])
            mean = self._means([constants], predicted)[0]
            self._known[key] = None if math.isinf(mean) else max(self._bound, mean), predicted[0]["observables"]
        return self._known[key]

    def promises(self, configurations: Sequence[Mapping[str, Constant]]) -> list[float]:
        """Mean scores without the bound; infinite where it fails."""
        return self._means(configurations, self.estimate(configurations))

    def estimate(self, configurations: Sequence[Mapping[str, Constant]]) -> list[dict[str, Any]]:
        """What the task's `[estimate]` answers, without a process for each question."""
        profile = msgspec.to_builtins(self.profile)
        return [self._estimate({**self._base, **constants}, profile, self.preset.budget_s) for constants in configurations]

    def run(self, constants: Mapping[str, Constant], rng: random.Random) -> float | None:
        """Score of one run; None where it fails."""
        score, _ = self.expected(constants)
        return None if score is None else score + rng.gauss(0.0, self.noise_sd)

    def _means(self, configurations: Sequence[Mapping[str, Constant]], predicted: Sequence[Mapping[str, Any]]) -> list[float]:
        at = np.array(self._points(configurations, predicted))
        means, nearest = np.exp(self._process.predict(at)), _squares(at, self._told).argmin(axis=1)
        memory = self.profile.usable_memory_bytes
        return [
            math.inf if self._failed[near] or hopeless(cost, self.preset.budget_s, memory) else float(mean)
            for mean, near, cost in zip(means, nearest, predicted, strict=True)
        ]

    def _points(self, configurations: Sequence[Mapping[str, Constant]], predicted: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        return [
            [
                *(position(constants[name], r) for name, r in self._ranges.items()),
                *(math.log2(max(1.0, cost["observables"][name])) / 8 for name in ("steps", "tokens", "active_params")),
            ]
            for constants, cost in zip(configurations, predicted, strict=True)
        ]


class Process:
    """A Gaussian process through points [n, d] and values [n]."""

    def __init__(self, points: Array, values: Array) -> None:
        self._points, self._mean, self._scale = points, float(values.mean()), float(values.std()) or 1.0
        self._values = (values - self._mean) / self._scale
        self._unit = float(np.sqrt(_squares(points, points)).mean()) or 1.0
        found = min(((self._left_out(*weights)[1], weights) for weights in itertools.product(_TREND, _LENGTH, _NOISE)), key=lambda f: f[0])
        self.weights = found[1]
        """Variance of the trend, length, variance of the noise."""
        self._solved = np.linalg.solve(self._covariance(*self.weights), self._values)

    def predict(self, points: Array) -> Array:
        """Means at points [m, d]."""
        trend, length, _ = self.weights
        return np.asarray(self._kernel(points, self._points, trend, length) @ self._solved) * self._scale + self._mean

    def error(self, unit: Any) -> float:
        """Leave-one-out root mean square error of `unit(value)`, among the values below the median."""
        difference, _ = self._left_out(*self.weights)
        low = self._values <= np.median(self._values)
        true = self._values * self._scale + self._mean
        return float(np.sqrt(np.square(unit(true) - unit(true - difference * self._scale))[low].mean()))

    def _left_out(self, trend: float, length: float, noise: float) -> tuple[Array, float]:
        """Value minus the prediction from all others, for each, and the sum of their squares."""
        inverse = np.linalg.inv(self._covariance(trend, length, noise))
        difference = inverse @ self._values / np.diag(inverse)
        return difference, float(np.square(difference).sum())

    def _covariance(self, trend: float, length: float, noise: float) -> Array:
        return self._kernel(self._points, self._points, trend, length) + noise * np.eye(len(self._points))

    def _kernel(self, one: Array, other: Array, trend: float, length: float) -> Array:
        distance = np.sqrt(5.0 * _squares(one, other)) / (length * self._unit)
        near = (1.0 + distance + distance**2 / 3.0) * np.exp(-distance)
        return np.asarray(near + trend * (1.0 + (one - 0.5) @ (other - 0.5).T) ** 2)


def _squares(one: Array, other: Array) -> Array:
    """Squared distances [n, m] of points [n, d] and [m, d]."""
    return np.asarray(np.square(one[:, None, :] - other[None, :, :]).sum(axis=2))


def _repeats(rows: Iterable[Row]) -> list[list[float]]:
    """Scores of equal configurations."""
    groups: dict[tuple[tuple[str, Constant], ...], list[float]] = {}
    for row in rows:
        if row.score is not None:
            groups.setdefault(tuple(row.constants.items()), []).append(row.score)
    return list(groups.values())


def _row(cells: Mapping[str, str], ranges: Ranges) -> Row:
    return Row(
        index=int(cells["index"]),
        why=cells["why"],
        seed=int(cells["seed"]),
        status=cells["status"],
        reason=cells["reason"],
        score=float(cells["score"]) if cells["score"] else None,
        steps=float(cells["steps"]) if cells["steps"] else None,
        seconds=float(cells["seconds"]),
        constants={name: _constant(cells[name], r) for name, r in ranges.items()},
    )


def _constant(text: str, r: ConstantRange) -> Constant:
    if r.type == "bool":
        return text == "True"
    if r.choices is not None:
        return next((choice for choice in r.choices if str(choice) == text), text)
    return int(text) if r.type == "int" else float(text)
