"""Configurations spread evenly over a task's constants: a constant's range as 0…1, and a scrambled Halton sequence over all of them.

A. Owen: A randomized Halton algorithm in R, 2017: each digit is permuted at random, which breaks the stripes that plain Halton points show
in many dimensions. The sequence has no length: what was begun goes on where it stopped.
"""

import functools
import itertools
import math
import random
from collections.abc import Mapping

from appliance.agents import moves
from appliance.records import Constant, ConstantRange

Ranges = Mapping[str, ConstantRange]

_BITS = 32
"""Of each coordinate."""


def value(at: float, r: ConstantRange) -> Constant:
    """The constant at a share `at` (0…1) of its range."""
    choices = _choices(r)
    if choices is not None:
        return choices[min(len(choices) - 1, max(0, int(at * len(choices))))]
    low, high, at = r.low or 0.0, r.high or 0.0, min(1.0, max(0.0, at))
    return moves.rounded(low * (high / low) ** at if r.log else low + (high - low) * at, r)


def position(constant: Constant, r: ConstantRange) -> float:
    """Where in its range a constant lies, 0…1; of a choice the middle of its share."""
    choices = _choices(r)
    if choices is not None:
        return (choices.index(constant) + 0.5) / len(choices) if constant in choices else 0.5
    return min(1.0, max(0.0, moves.coordinate(constant, r)[0]))


def step(r: ConstantRange) -> float:
    """What one step is worth: the next choice, an eighth of a range."""
    choices = _choices(r)
    return 1 / len(choices) if choices is not None else 1 / 8


def point(index: int, dimensions: int, seed: int) -> list[float]:
    """The point `index` (from 0) of the scrambled Halton sequence of this seed, each coordinate in 0…1."""
    return [_radical_inverse(index, base, seed) for base in _primes(dimensions)]


def configuration(at: list[float], ranges: Ranges) -> dict[str, Constant]:
    """Constants at a point, in the order of the ranges."""
    return {name: value(share, r) for share, (name, r) in zip(at, ranges.items(), strict=True)}


def _choices(r: ConstantRange) -> list[Constant] | None:
    return [False, True] if r.type == "bool" else r.choices


def _radical_inverse(index: int, base: int, seed: int) -> float:
    total, weight = 0.0, 1.0
    for digits in _permutations(base, seed):
        weight /= base
        total += digits[index % base] * weight
        index //= base
    return total


@functools.cache
def _permutations(base: int, seed: int) -> list[list[int]]:
    """What each digit becomes, the lowest first."""
    rng = random.Random(f"{seed}/{base}")
    return [rng.sample(range(base), base) for _ in range(math.ceil(_BITS / math.log2(base)))]


@functools.cache
def _primes(count: int) -> list[int]:
    found: list[int] = []
    for number in itertools.count(2):
        if len(found) == count:
            break
        if all(number % prime for prime in found):
            found.append(number)
    return found
