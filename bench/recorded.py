"""Recorded runs of the real trainer: the table, and a surrogate that answers for configurations between them.

The table is `<name>.csv`, one row a run, with `<name>.json` beside it: task, preset, device and profile of the machine they ran on.

A surrogate is fitted to the logarithm of the score of each configuration, over the constants' places in their ranges and the estimate's
steps, tokens and size. `process`, a Gaussian process with a Matérn 5/2 kernel and a length for each coordinate, errs least; but the
built-in search models scores by such a process as well, and could look too good on its own kind of surface. `trees`, gradient boosting, is
the second opinion. (K. Eggensperger et al.: Efficient Benchmarking of Hyperparameter Optimizers via Surrogates, 2015, compare such models.)
The answer is never better than the best that a surrogate makes of a recorded run, by more than its cross-validated error among the better
half of the configurations, where nights end. A configuration fails that cannot make a step in its budget, or whose nearest recorded
neighbour failed.
"""

import csv
import math
import random
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from space import Ranges, position
from surrogate import estimator

from appliance import judge, tasks
from appliance.errors import UsageError
from appliance.records import Constant, ConstantRange, Profile
from appliance.records.base import Record

Array = NDArray[np.float64]

TABLE = Path(__file__).parent / "data" / "search_runs"
"""Without its suffixes."""
_FIELDS = ("index", "why", "seed", "status", "reason", "score", "steps", "seconds")
_FOLDS = 10


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

    def __init__(self, rows: Sequence[Row], about: Machine, model: str = "process") -> None:
        """Fit `model`, one of `MODELS`.

        Raises:
            UsageError: too few rows.
        """
        self.loaded = tasks.load(about.task)
        self.preset = self.loaded.task.presets[about.preset]
        self.profile = about.profile
        self._ranges = self.loaded.task.constants
        self._estimate = estimator(self.loaded, self.preset, about.profile)
        told = [row for row in rows if row.status != "invalid"]
        groups = _repeats(told)
        if len(groups) < 2 * len(self._ranges):
            raise UsageError(f"the table has {len(groups)} scored configurations, fewer than {2 * len(self._ranges)}: record more")
        noise = judge.pool(groups.values())
        if noise is None:
            raise UsageError("no configuration of the table ran twice: its noise is unknown; record more")
        self.noise_sd = noise.sd
        self.seconds_per_run = float(np.median([row.seconds for row in told if row.score is not None]))
        configurations = [row.constants for row in told]
        self._told = np.array(self._points(configurations, self.estimate(configurations)))
        self._failed = np.array([row.score is None for row in told])
        self.configurations = len(groups)
        scored = [dict(key) for key in groups]
        points, logs = np.array(self._points(scored, self.estimate(scored))), np.array([fmean(np.log(found)) for found in groups.values()])
        self._model = MODELS[model](points, logs)
        self.error = cross_validated_error(self._model, points, logs)
        """Root mean square, in the metric's unit, of what the better half of the configurations differ from the prediction without them;
        their noise included."""
        self._bound = float(np.exp(self._model.predict(points)).min()) - self.error
        self._known: dict[tuple[tuple[str, Constant], ...], tuple[float | None, dict[str, float]]] = {}

    def expected(self, constants: Mapping[str, Constant]) -> tuple[float | None, dict[str, float]]:
        """Mean score, None where it fails, and observables."""
        key = tuple(sorted(constants.items()))
        if key not in self._known:
            predicted = self.estimate([constants])
            at = np.array(self._points([constants], predicted))
            never = hopeless(predicted[0], self.preset.budget_s, self.profile.usable_memory_bytes)
            fails = never or self._failed[_squares(at, self._told).argmin()]
            score = None if fails else max(self._bound, float(np.exp(self._model.predict(at)[0])))
            self._known[key] = score, predicted[0]["observables"]
        return self._known[key]

    def estimate(self, configurations: Sequence[Mapping[str, Constant]]) -> list[dict[str, Any]]:
        """What the task's `[estimate]` answers, without a process for each question."""
        return [self._estimate(constants) for constants in configurations]

    def run(self, constants: Mapping[str, Constant], rng: random.Random) -> float | None:
        """Score of one run; None where it fails."""
        score, _ = self.expected(constants)
        return None if score is None else score + rng.gauss(0.0, self.noise_sd)

    def _points(self, configurations: Sequence[Mapping[str, Constant]], predicted: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        return [
            [
                *(position(constants[name], r) for name, r in self._ranges.items()),
                *(math.log2(max(1.0, cost["observables"][name])) / 8 for name in ("steps", "tokens", "active_params")),
            ]
            for constants, cost in zip(configurations, predicted, strict=True)
        ]


def _process(points: Array, values: Array) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0) * Matern(np.full(points.shape[1], 1.5), (0.1, 30.0), nu=2.5) + WhiteKernel(0.01, (1e-4, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound: that constant does not matter
        fitted = GaussianProcessRegressor(kernel, normalize_y=True).fit(points, values)
    return GaussianProcessRegressor(fitted.kernel_, optimizer=None, normalize_y=True).fit(points, values)


def _trees(points: Array, values: Array) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    trees = GradientBoostingRegressor(n_estimators=400, learning_rate=0.04, max_depth=4, subsample=0.6, random_state=0)
    return trees.fit(points, values)


MODELS: Mapping[str, Callable[[Array, Array], Any]] = {"process": _process, "trees": _trees}
"""Name → what fits a regressor of scikit-learn through points [n, d] and values [n]."""


def cross_validated_error(model: Any, points: Array, logs: Array) -> float:
    """Cross-validated root mean square error of the scores below their median; the process keeps its kernel."""
    from sklearn.model_selection import KFold, cross_val_predict

    predicted = cross_val_predict(model, points, logs, cv=KFold(_FOLDS, shuffle=True, random_state=0))
    low = logs <= np.median(logs)
    return float(np.sqrt(np.square(np.exp(predicted) - np.exp(logs))[low].mean()))


def _squares(one: Array, other: Array) -> Array:
    """Squared distances [n, m] of points [n, d] and [m, d]."""
    return np.asarray(np.square(one[:, None, :] - other[None, :, :]).sum(axis=2))


def _repeats(rows: Iterable[Row]) -> dict[tuple[tuple[str, Constant], ...], list[float]]:
    """Configuration → its scores."""
    groups: dict[tuple[tuple[str, Constant], ...], list[float]] = {}
    for row in rows:
        if row.score is not None:
            groups.setdefault(tuple(row.constants.items()), []).append(row.score)
    return groups


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
