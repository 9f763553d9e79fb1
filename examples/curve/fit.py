"""The asset: gradient descent on the amplitudes of a sum of waves."""

import math

WAVES = 4  # waves in the sum, each with a sine and a cosine
STEP = 0.1  # of the descent, per sweep
MOMENTUM = 0.5  # share of the last move that is kept


def features(x: float) -> list[float]:
    """The value of every wave at x."""
    return [1.0] + [f(2 * math.pi * k * x) for k in range(1, WAVES + 1) for f in (math.sin, math.cos)]


def fit(points: list[tuple[float, float]], clock) -> tuple[list[float], int]:
    """Weights of the waves, and the sweeps it took."""
    table = [(features(x), y) for x, y in points]
    weights = [0.0] * (2 * WAVES + 1)
    moves = [0.0] * len(weights)
    sweeps = 0
    while not clock.over():
        gradient = [0.0] * len(weights)
        for row, y in table:
            error = sum(w * f for w, f in zip(weights, row)) - y
            for i, f in enumerate(row):
                gradient[i] += 2 * error * f / len(table)
        for i, g in enumerate(gradient):
            moves[i] = MOMENTUM * moves[i] - STEP * g
            weights[i] += moves[i]
        sweeps += 1
    return weights, sweeps


def answer(weights: list[float], places: int) -> list[float]:
    """The approximation at each of `places` equal steps from 0 to 1."""
    return [sum(w * f for w, f in zip(weights, features(i / (places - 1)))) for i in range(places)]
