"""Constants as a search sees them: a coordinate of 0…1 in their range, a neighbour, a text."""

import math
import random
from collections.abc import Mapping

from appliance.records import Constant, ConstantRange


def coordinate(value: Constant | None, r: ConstantRange) -> list[float]:
    """Where a value lies in its range: one number of about 0…1; one per choice where the choices have no order."""
    if r.type == "bool":
        return [float(bool(value))]
    if r.choices is not None and any(isinstance(choice, str) for choice in r.choices):
        return [float(value == choice) for choice in r.choices]
    if not isinstance(value, int | float):
        return [0.5]
    if r.choices is not None:
        ordered = sorted(float(choice) for choice in r.choices)
        return [sum(choice < value for choice in ordered) / max(1, len(ordered) - 1)]
    low, high = r.low or 0.0, r.high or 1.0
    if r.log:
        return [math.log(max(float(value), low * 1e-3) / low) / math.log(high / low)]
    return [(float(value) - low) / (high - low)]


def draw(r: ConstantRange, rng: random.Random) -> Constant:
    """Anywhere in the range."""
    if r.type == "bool":
        return rng.random() < 0.5
    if r.choices is not None:
        return rng.choice(r.choices)
    low, high = r.low or 0.0, r.high or 0.0
    return rounded(math.exp(rng.uniform(math.log(low), math.log(high))) if r.log else rng.uniform(low, high), r)


def near(value: Constant, r: ConstantRange, reach: float, rng: random.Random) -> Constant:
    """A neighbour: the other truth, another choice, `reach` of the range away at one sigma."""
    if r.type == "bool":
        return not value
    if r.choices is not None:
        if isinstance(value, str) or value not in r.choices:
            return rng.choice(r.choices)
        place = r.choices.index(value) + rng.choice((-1, 1))
        return r.choices[min(max(place, 0), len(r.choices) - 1)]
    low, high = r.low or 0.0, r.high or 0.0
    old = min(max(float(value), low), high)
    moved = old * (high / low) ** rng.gauss(0, reach) if r.log else old + rng.gauss(0, reach) * (high - low)
    new = rounded(min(max(moved, low), high), r)
    if new == value and r.type == "int":
        new = rounded(min(max(old + rng.choice((-1, 1)) * (r.step or 1), low), high), r)
    return new


def rounded(value: float, r: ConstantRange) -> Constant:
    """To the constant's step, and to three digits: a diff is read by people."""
    if r.type != "int":
        return float(f"{value:.3g}")
    low, step = int(r.low or 0), r.step or 1
    if step == 1 and value >= 1000:
        value = float(f"{value:.2g}")
    return min(int(r.high or value), low + round((value - low) / step) * step)


def key(constants: Mapping[str, Constant]) -> tuple[tuple[str, Constant], ...]:
    """Equal for equal configurations."""
    return tuple(sorted(constants.items()))


def listed(old: Mapping[str, Constant], change: Mapping[str, Constant]) -> str:
    """`DEPTH 6 → 3, WIDTH 256 → 128`."""
    return ", ".join(f"{name} {old[name]} → {value}" for name, value in sorted(change.items()))
