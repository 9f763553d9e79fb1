"""Frozen data that the parts exchange. Imports nothing of ours but itself; nothing heavy."""

from appliance.records.base import FORMAT_VERSION, Record
from appliance.records.device import Device, Telemetry
from appliance.records.experiment import Experiment, Proposal, Verdict
from appliance.records.night import Confirmation, Estimate, Night, NightPlan, NightState
from appliance.records.profile import AttentionResult, Datasheet, MatrixRate, Measurement, Profile, Sourced
from appliance.records.run import ExecResult, Reason, Run, Score
from appliance.records.task import (
    ArtifactFile,
    Asset,
    Check,
    Clock,
    Command,
    Constant,
    ConstantRange,
    DatasetSource,
    Limits,
    Metric,
    Observable,
    Plausible,
    Preset,
    Task,
)
from appliance.records.view import View

__all__ = [
    "FORMAT_VERSION",
    "ArtifactFile",
    "Asset",
    "AttentionResult",
    "Check",
    "Clock",
    "Command",
    "Confirmation",
    "Constant",
    "ConstantRange",
    "DatasetSource",
    "Datasheet",
    "Device",
    "Estimate",
    "ExecResult",
    "Experiment",
    "Limits",
    "MatrixRate",
    "Measurement",
    "Metric",
    "Night",
    "NightPlan",
    "NightState",
    "Observable",
    "Plausible",
    "Preset",
    "Profile",
    "Proposal",
    "Reason",
    "Record",
    "Run",
    "Score",
    "Sourced",
    "Task",
    "Telemetry",
    "Verdict",
    "View",
]
