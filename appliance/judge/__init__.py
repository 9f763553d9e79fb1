"""Turns runs into verdicts. Pure: numbers in, records out; no files, no clock, no randomness of its own."""

from appliance.judge.attribution import Part, attribute
from appliance.judge.belief import expected_false_keeps, expected_false_keeps_if_lower
from appliance.judge.confirmation import estimate, shrinkage, status
from appliance.judge.noise import (
    REBASELINE_EVERY,
    REFERENCE_RUNS,
    Noise,
    calibration_complete,
    machine_changed,
    pool,
    repeats,
)
from appliance.judge.plausibility import Doubt, doubts
from appliance.judge.prediction import Prediction, gains, predict
from appliance.judge.reserve import ConfirmationPlan, plan_confirmation
from appliance.judge.rule import RULE, Rule
from appliance.judge.size import simpler
from appliance.judge.validity import Normal, causes, disturbance, expected, normal, slow, throughput_limit
from appliance.judge.verdict import Step, incumbent_estimate, next_step

__all__ = [
    "REBASELINE_EVERY",
    "REFERENCE_RUNS",
    "RULE",
    "ConfirmationPlan",
    "Doubt",
    "Noise",
    "Normal",
    "Part",
    "Prediction",
    "Rule",
    "Step",
    "attribute",
    "calibration_complete",
    "causes",
    "disturbance",
    "doubts",
    "estimate",
    "expected",
    "expected_false_keeps",
    "expected_false_keeps_if_lower",
    "gains",
    "incumbent_estimate",
    "machine_changed",
    "next_step",
    "normal",
    "plan_confirmation",
    "pool",
    "predict",
    "repeats",
    "shrinkage",
    "simpler",
    "slow",
    "status",
    "throughput_limit",
]
