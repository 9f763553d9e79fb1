"""A stand-in for the CPU trainer: the score of a configuration by formula, for comparing search policies and simulating nights in seconds.

Steps, tokens and parameters come from the trainer's own estimate on the profile of a 2-core machine; the loss is a scaling law in
parameters and text seen, with valleys in learning rates and schedules. The constants are a rough fit to measured runs (5.8M parameters, 90
steps: 3.2 bits per byte; width 128 with 3 layers, 600 steps: 2.47; with 1 layer, 1,200 steps: 2.42). It is a shape to search on, not a
prediction.
"""

import importlib.util
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from appliance import tasks
from appliance.records import Constant, Preset, Profile

Estimate = Callable[[Mapping[str, Constant]], dict[str, Any]]
"""Constants → predicted cost."""

NOISE_SD = 0.015
"""Of one 30 s run on two shared cores: on a wall clock a seed fixes little."""
PROFILE = Profile(
    device_slug="cpu-2-cores",
    device_kind="cpu",
    name="two cores",
    sha256="0" * 64,
    peak_flops=5.8e11,
    bandwidth_bytes_per_s=3.6e10,
    usable_memory_bytes=16 << 30,
)
_BYTES_PER_TOKEN = {256: 1.0, 1024: 2.7, 2048: 3.2, 8192: 4.1}
_VALLEYS: Mapping[str, tuple[float, float]] = {
    "MATRIX_LR": (0.03, 0.025),
    "EMBED_LR": (0.15, 0.008),
    "HEAD_LR": (0.01, 0.012),
}
"""Best value at 1,000 steps, and bits per byte lost at a factor of e from it."""
_LINEAR: Mapping[str, tuple[float, float]] = {
    "WEIGHT_DECAY": (0.02, 0.1),
    "MOMENTUM": (0.92, 8.0),
    "WARMUP_SHARE": (0.02, 2.0),
    "WARMDOWN_SHARE": (0.75, 0.15),
    "FINAL_LR_SHARE": (0.02, 0.5),
}
"""Best value, and bits per byte lost per squared distance."""


class Surrogate:
    """Scores configurations of one preset of the trainer."""

    def __init__(self, preset: str = "cpu") -> None:
        self.loaded = tasks.load("trainer")
        self.preset = self.loaded.task.presets[preset]
        self.profile, self.noise_sd, self.seconds_per_run = PROFILE, NOISE_SD, 36.0
        self._estimate = estimator(self.loaded, self.preset, PROFILE)
        self._known: dict[tuple[tuple[str, Constant], ...], tuple[float, dict[str, float]]] = {}

    def expected(self, constants: Mapping[str, Constant]) -> tuple[float, dict[str, float]]:
        """Mean score and observables."""
        key = tuple(sorted(constants.items()))
        if key not in self._known:
            self._known[key] = _loss(constants, self.estimate([constants])[0])
        return self._known[key]

    def estimate(self, configurations: Sequence[Mapping[str, Constant]]) -> list[dict[str, Any]]:
        """What the task's `[estimate]` answers, without a process for each question."""
        return [self._estimate(constants) for constants in configurations]

    def run(self, constants: Mapping[str, Constant], rng: random.Random) -> float:
        """Score of one run."""
        return self.expected(constants)[0] + rng.gauss(0.0, NOISE_SD)


def _loss(constants: Mapping[str, Any], predicted: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
    observables: dict[str, float] = predicted["observables"]
    depth, width, vocabulary = (float(constants[name]) for name in ("DEPTH", "WIDTH", "VOCAB_SIZE"))
    steps, tokens = observables["steps"], observables["tokens"]
    text = tokens * _BYTES_PER_TOKEN[int(vocabulary)] / 3.2
    layers = depth * width * width * (4 + 2 * float(constants["MLP_RATIO"]))
    loss = 1.32 + 14.0 * (layers + 30_000) ** -0.25 + 600.0 * text**-0.5 + 3.0 * steps**-0.6
    loss += 0.04 * abs(math.log2(vocabulary / 2048)) * (0.5 if vocabulary < 2048 else 1.0) + 0.12 * (depth < 2)
    loss += 4.0 / (float(constants["SEQUENCE_LENGTH"]) * _BYTES_PER_TOKEN[int(vocabulary)]) ** 0.8
    for name, (best, cost) in _VALLEYS.items():
        loss += cost * math.log(float(constants[name]) / (best * (1000 / steps) ** 0.25)) ** 2
    for name, (best, cost) in _LINEAR.items():
        loss += cost * (float(constants[name]) - best) ** 2
    loss += (
        0.01 * (constants["ACTIVATION"] == "swiglu") + 0.012 * (not constants["RESIDUAL_MIX"]) - 0.01 * bool(constants["VALUE_EMBEDDINGS"])
    )
    loss += {0.0: 0.01, 15.0: 0.0, 30.0: 0.004}.get(float(constants["LOGIT_CAP"]), 0.002)
    return loss, observables


def estimator(loaded: tasks.LoadedTask, preset: Preset, profile: Profile) -> Estimate:
    """The trainer's `[estimate]` in this process; constants that are not given are the reference's."""
    spec = importlib.util.spec_from_file_location("trainer_estimate", loaded.folder / "estimate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their module up
    spec.loader.exec_module(module)
    base, facts = tasks.read_constants(loaded.reference(preset)), msgspec.to_builtins(profile)

    def estimate(constants: Mapping[str, Constant]) -> dict[str, Any]:
        found: dict[str, Any] = module.estimate({**base, **constants}, facts, preset.budget_s)
        return found

    return estimate
