"""A night: what is fixed at its start, and what it came to."""

from typing import Any, Literal

from appliance.records.base import FORMAT_VERSION, Count, NonNegative, Positive, Record
from appliance.records.device import Device
from appliance.records.experiment import Experiment
from appliance.records.profile import Profile
from appliance.records.run import Isolation, Run
from appliance.records.task import Preset, Task


class NightPlan(Record, frozen=True, kw_only=True):
    """`night.json`: everything fixed at the start."""

    format_version: int = FORMAT_VERSION
    night_id: str
    started_at: str
    hours: Positive
    device: Device
    profile: Profile
    task: Task
    task_sha256: str
    task_source: str = "trainer"
    """What `--task` said: where the task's folder is found again."""
    preset_name: str
    preset: Preset
    isolation: Isolation
    image_digest: str | None = None
    data_sha256: str | None = None
    transfer_sha256: str | None = None
    agent: str
    agent_options: dict[str, Any] = {}
    standby: bool = False
    """Boxes are made before their turn where the task's commands can stand by."""
    seed: int
    """Seeds of all runs derive from it."""
    parent_night: str | None = None
    """`--from`: the night whose winner this one starts at."""
    baseline_sha256: str
    """Asset of experiment 0."""
    reference_sha256: str
    """Asset of the preset's reference: the baseline, unless the night continues another."""
    test_split_uses: Count = 0
    """Nights before this one that confirmed on the same test split."""
    versions: dict[str, str] = {}
    imported: bool = False
    """Came from someone else's file: unverified."""
    unknown: list[str] = []
    """Fields that an imported file does not tell (`hours`, `seed`, …): what stands in them fills a type and is not shown."""
    command: list[str] = []
    """What repeats it."""


class Estimate(Record, frozen=True, kw_only=True):
    """A difference (winner minus baseline) with its uncertainty."""

    split: str
    """`val`, `test`, `transfer_model` (same model, other text) or `transfer_configuration` (same configuration, trained on other text)."""
    baseline_mean: float
    winner_mean: float
    difference: float
    interval_low: float
    interval_high: float
    relative: float | None
    """difference / |baseline_mean|; None, with its interval, where the baseline's mean is exactly 0."""
    relative_low: float | None
    relative_high: float | None
    pairs: Count
    method: str
    """How the interval was made, for people."""
    holds: bool
    """The whole interval lies on the better side."""


class Confirmation(Record, frozen=True, kw_only=True):
    """What fresh seeds on unseen data say about the winner."""

    status: Literal["confirmed", "not_confirmed", "not_run", "no_winner"]
    """`confirmed`: holds on test; `not_confirmed`: ran, does not hold; `not_run`: did not fit or was cut."""
    reason: str | None = None
    estimates: list[Estimate] = []
    claimed: float | None = None
    """The search's own claim: relative difference on val from its fresh pairs."""
    shrinkage: float | None = None
    """1 − confirmed on test / claimed."""


class NightState(Record, frozen=True, kw_only=True):
    """What changes while a night lasts, and its end; kept in the journal, exported as `winner/winner.json` and into the report."""

    phase: str
    ended_at: str | None = None
    ended_why: str | None = None
    incumbent: Count = 0
    incumbent_sha256: str | None = None
    calibrations: list[dict[str, Any]] = []
    confirmation: Confirmation | None = None
    attribution: list[dict[str, Any]] = []
    cuts: list[dict[str, Any]] = []
    """Where it was interrupted and resumed."""
    expected_false_keeps: NonNegative | None = None
    clock: dict[str, float] = {}
    """Where the night went: phase → seconds."""
    agent: dict[str, Any] = {}
    """The agent's own account: model, dated prices, calls, tokens and cost, answers by kind; empty for agents that cost nothing."""


class Night(Record, frozen=True, kw_only=True):
    """All that a reader needs of a night: what the report is a function of."""

    plan: NightPlan
    state: NightState
    runs: list[Run]
    experiments: list[Experiment]
    assets: dict[str, dict[str, str]] = {}
    """sha256 → file → text, of the baseline, the winner and its ancestors."""
