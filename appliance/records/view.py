"""What an agent sees when it proposes: everything, and nothing that lets it act."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.records.device import Device
from appliance.records.experiment import Experiment
from appliance.records.profile import Profile
from appliance.records.run import Run
from appliance.records.task import Constant, Preset, Task


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The state of a night, for an agent.

    `estimate` and `edit` are given in because agents know neither the task's folder nor its language.
    """

    task: Task
    preset: Preset
    device: Device
    profile: Profile
    program: str
    """Text of the task's program."""
    asset: Mapping[str, str]
    """The incumbent: editable file → text."""
    asset_sha256: str
    constants: Mapping[str, Constant]
    """The ALL_CAPS literals of the incumbent."""
    incumbent: int
    """Experiment that leads."""
    incumbent_score: float | None
    baseline_score: float | None
    noise_sd: float | None
    noise_n: int
    experiments: Sequence[Experiment]
    runs: Sequence[Run]
    configurations: Mapping[int, Mapping[str, Constant]]
    """Experiment → its asset's constants."""
    seconds_left: float
    """Until the search must stop for confirmation."""
    seconds_per_run: float
    """Measured, everything included."""
    seed: int
    """The night's; an agent's own randomness derives from it."""
    estimate: Callable[[Sequence[Mapping[str, Constant]]], list[dict[str, Any]]]
    """Constants → predicted `{"seconds", "memory_bytes", "observables"}`; empty dicts where the task has no estimate."""
    edit: Callable[[Mapping[str, Constant]], dict[str, str]]
    """Constants → the incumbent's files with these literals put in."""
    refuse: Callable[[Mapping[str, str]], str | None] = field(default=lambda _files: None)
    """Files → why they would be refused as a change of this incumbent, in one line; None when they would run."""
