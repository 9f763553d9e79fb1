"""A Gaussian process over configurations: what the scores measured so far say about one that was not tried.

Matérn 5/2 kernel with a length per coordinate, so that it learns which constants matter; each score weighs by how often it was measured.
Lengths are fitted by maximum a posteriori with random steps: a hundred factorisations of a matrix as large as the night has experiments,
well under a second. C. Rasmussen, C. Williams: Gaussian Processes for Machine Learning, 2006, ch. 2 and 5.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 120
"""Random steps of the fit. Begun anew each time: a fit that went on from the last one stayed where little data had put it."""
_LENGTH, _SPREAD = 1.2, 1.0
"""Median and log-spread of the prior of lengths, in units of a coordinate's whole range: most constants matter little."""
_JITTER = 1e-6


class Surface:
    """Fitted once; lower is better (give negated scores where higher is)."""

    def __init__(self, points: Sequence[Sequence[float]], scores: Sequence[float], variances: Sequence[float], seed: int) -> None:
        """Points [n, d] of about 0…1, scores [n], variances [n] of the scores' means."""
        self._x = np.asarray(points, dtype=np.float64)
        raw = np.asarray(scores, dtype=np.float64)
        self._mean, self._scale = float(np.median(raw)), max(float(np.std(raw)), 1e-9)
        self._y = (raw - self._mean) / self._scale
        self._noise = np.asarray(variances, dtype=np.float64) / self._scale**2 + _JITTER
        self._squares = (self._x[:, None, :] - self._x[None, :, :]) ** 2
        self._lengths, self._height = self._fit(np.random.default_rng(seed))
        self._factor, self._weights = self._solve(self._lengths, self._height)

    def predict(self, points: Sequence[Sequence[float]]) -> tuple[Array, Array]:
        """Mean and standard deviation of the score without noise, each [m]."""
        x = np.asarray(points, dtype=np.float64)
        between = _matern((x[:, None, :] - self._x[None, :, :]) ** 2 @ self._lengths**-2) * self._height
        mean = between @ self._weights
        half = np.linalg.solve(self._factor, between.T)
        variance = np.maximum(self._height - (half**2).sum(axis=0), 1e-12)
        return mean * self._scale + self._mean, np.sqrt(variance) * self._scale

    def _fit(self, rng: np.random.Generator) -> tuple[Array, float]:
        lengths, height = np.full(self._x.shape[1], _LENGTH), 1.0
        best = self._evidence(lengths, height)
        for step in range(_STEPS):
            tried, tall = lengths.copy(), height
            which = rng.random(len(lengths)) < (1.5 / len(lengths) if step % 2 else 0.3)
            tried[which] *= np.exp(rng.normal(0.0, 0.6, int(which.sum())))
            if rng.random() < 0.3:
                tall *= math.exp(rng.normal(0.0, 0.4))
            evidence = self._evidence(tried, tall)
            if evidence > best:
                lengths, height, best = tried, tall, evidence
        return lengths, height

    def _evidence(self, lengths: Array, height: float) -> float:
        """Log marginal likelihood plus the prior of the lengths."""
        try:
            factor, weights = self._solve(lengths, height)
        except np.linalg.LinAlgError:
            return -math.inf
        prior = -0.5 * float((np.log(lengths / _LENGTH) ** 2).sum()) / _SPREAD**2 - 0.5 * math.log(height) ** 2
        return -0.5 * float(self._y @ weights) - float(np.log(np.diag(factor)).sum()) + prior

    def _solve(self, lengths: Array, height: float) -> tuple[Array, Array]:
        covariance = _matern(self._squares @ lengths**-2) * height
        covariance[np.diag_indices_from(covariance)] += self._noise
        factor = np.linalg.cholesky(covariance)
        return np.asarray(factor), np.asarray(np.linalg.solve(covariance, self._y))


def _matern(squares: Array) -> Array:
    """Matérn 5/2 of squared scaled distances [n, m]."""
    distance = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + distance + distance**2 / 3.0) * np.exp(-distance))
