"""Turns runs into verdicts. Pure: numbers in, records out; no files, no clock, no randomness of its own."""

from appliance.judge.noise import (
    REBASELINE_EVERY,
    REFERENCE_RUNS,
    Noise,
    calibration_complete,
    machine_changed,
    pool,
    repeats,
)
from appliance.judge.rule import RULE, Rule
from appliance.judge.verdict import Step, incumbent_estimate, next_step

__all__ = [
    "REBASELINE_EVERY",
    "REFERENCE_RUNS",
    "RULE",
    "Noise",
    "Rule",
    "Step",
    "calibration_complete",
    "incumbent_estimate",
    "machine_changed",
    "next_step",
    "pool",
    "repeats",
]
