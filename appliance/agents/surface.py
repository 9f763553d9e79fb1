"""A Gaussian process over configurations: what the scores measured so far say about one that was not tried.

Matérn 5/2 kernel with a length per coordinate, so that it learns which constants matter; each score weighs by how often it was measured.
Lengths are fitted by maximum a posteriori (C. Rasmussen, C. Williams: Gaussian Processes for Machine Learning, 2006, ch. 2 and 5), climbed
by Rprop, which needs no step size (M. Riedmiller, H. Braun: A direct adaptive method for faster backpropagation learning, 1993): some
dozens of factorisations of a matrix as large as the night has experiments, well under a second.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_STEPS = 40
"""Of the fit. Begun anew each time: a fit that went on from the last one stayed where little data had put it."""
_FIRST_STEP, _LEAST_STEP, _MOST_STEP = 0.2, 1e-3, 1.0
_GROW, _SHRINK = 1.2, 0.5
"""Rprop's steps, in logarithms of lengths and height, and what they grow and shrink by."""
_FARTHEST = 4.0
"""From the prior's median, in the same logarithms."""
_LENGTH, _SPREAD = 1.2, 1.0
"""Median and log-spread of the prior of lengths, in units of a coordinate's whole range: most constants matter little."""
_JITTER = 1e-6


class Surface:
    """Fitted once; lower is better (give negated scores where higher is)."""

    def __init__(self, points: Sequence[Sequence[float]], scores: Sequence[float], variances: Sequence[float]) -> None:
        """Points [n, d] of about 0…1, scores [n], variances [n] of the scores' means."""
        self._x = np.asarray(points, dtype=np.float64)
        raw = np.asarray(scores, dtype=np.float64)
        self._mean, self._scale = float(np.median(raw)), max(float(np.std(raw)), 1e-9)
        self._y = (raw - self._mean) / self._scale
        self._noise = np.diag(np.asarray(variances, dtype=np.float64) / self._scale**2 + _JITTER)
        self._squares = (self._x[:, None, :] - self._x[None, :, :]) ** 2
        self._lengths, self._height = self._fit()
        covariance = _matern(self._squares @ self._lengths**-2) * self._height + self._noise
        self._factor, self._weights = np.linalg.cholesky(covariance), np.linalg.solve(covariance, self._y)

    def predict(self, points: Sequence[Sequence[float]]) -> tuple[Array, Array]:
        """Mean and standard deviation of the score without noise, each [m]."""
        one, other = np.asarray(points, dtype=np.float64) / self._lengths, self._x / self._lengths
        squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2.0 * one @ other.T
        between = _matern(np.maximum(squares, 0.0)) * self._height
        mean = between @ self._weights
        half = np.linalg.solve(self._factor, between.T)
        variance = np.maximum(self._height - (half**2).sum(axis=0), 1e-12)
        return mean * self._scale + self._mean, np.sqrt(variance) * self._scale

    def _fit(self) -> tuple[Array, float]:
        """Lengths [d] and height, the most probable that were met."""
        at = np.zeros(self._x.shape[1] + 1)
        step, before = np.full(len(at), _FIRST_STEP), np.zeros(len(at))
        best, found = -math.inf, at
        for _ in range(_STEPS):
            evidence, slope = self._evidence(_LENGTH * np.exp(at[:-1]), math.exp(at[-1]))
            if evidence > best:
                best, found = evidence, at
            turned = slope * before
            step = np.clip(np.where(turned > 0, step * _GROW, np.where(turned < 0, step * _SHRINK, step)), _LEAST_STEP, _MOST_STEP)
            before = np.where(turned < 0, 0.0, slope)
            at = np.clip(at + np.sign(before) * step, -_FARTHEST, _FARTHEST)
        return _LENGTH * np.exp(found[:-1]), math.exp(found[-1])

    def _evidence(self, lengths: Array, height: float) -> tuple[float, Array]:
        """Log marginal likelihood plus log prior, and its slope [d + 1] along the logarithms of lengths and height."""
        distance = np.sqrt(5.0 * (self._squares @ lengths**-2))
        decay = height * np.exp(-distance)
        kernel = (1.0 + distance + distance**2 / 3.0) * decay
        covariance = kernel + self._noise
        inverse = np.linalg.inv(covariance)
        weights = inverse @ self._y
        logs, tall = np.log(lengths / _LENGTH), math.log(height)
        evidence = -0.5 * (float(self._y @ weights) + float(np.linalg.slogdet(covariance)[1]))
        evidence -= 0.5 * (float((logs**2).sum()) / _SPREAD**2 + tall**2)
        pull = np.outer(weights, weights) - inverse
        along = (pull * (5.0 / 3.0) * (1.0 + distance) * decay).ravel() @ self._squares.reshape(-1, len(lengths)) / lengths**2
        return evidence, np.append(0.5 * along - logs / _SPREAD**2, 0.5 * float((pull * kernel).sum()) - tall)


def _matern(squares: Array) -> Array:
    """Matérn 5/2 of squared scaled distances [n, m]."""
    distance = np.sqrt(5.0 * squares)
    return np.asarray((1.0 + distance + distance**2 / 3.0) * np.exp(-distance))
