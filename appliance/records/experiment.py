"""One proposal, its runs, and the verdict on it; the row the ledger keeps of it."""

from enum import StrEnum
from typing import Literal

from appliance.records.base import FORMAT_VERSION, Count, NonNegative, Record


class Verdict(StrEnum):
    """What the judge says of an experiment."""

    KEPT = "kept"
    KEPT_SIMPLER = "kept_simpler"
    WITHIN_NOISE = "within_noise"
    WORSE = "worse"
    FAILED = "failed"
    REJECTED = "rejected"
    REFUSED = "refused"


class Proposal(Record, frozen=True, kw_only=True):
    """A changed asset, with a hypothesis and a prediction, from an agent."""

    files: dict[str, str]
    """Editable file → its whole new text."""
    hypothesis: str
    predicted_effect: float | None = None
    """Expected change of the metric in its unit, negative for a decrease."""
    agent: str
    parent_sha256: str
    """Asset it was written against."""
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    tokens_cached: Count | None = None
    cost_usd: NonNegative | None = None
    note: str | None = None
    """The agent's own handle (trial number, message id), handed back with the outcome."""
    refused: str | None = None
    """Why the agent itself hands in nothing that could run (a model's answer without usable edits): kept as a refused experiment."""


class Experiment(Record, frozen=True, kw_only=True):
    """One row of `experiments/`."""

    format_version: int = FORMAT_VERSION
    night_id: str
    experiment: Count
    parent: Count
    """Experiment whose asset it changed; 0 is the baseline."""
    agent: str
    hypothesis: str
    predicted_effect: float | None = None
    diff: str
    """Unified, against the parent."""
    asset_sha256: str
    verdict: Verdict
    reason: str | None = None
    """Why it failed, was rejected or refused."""
    runs: list[int]
    """Runs that count in the verdict."""
    runs_invalid: list[int] = []
    difference: float | None = None
    """Candidate minus incumbent in the metric's unit."""
    basis: Literal["screen", "fresh"] | None = None
    """What `difference`, its interval and `p` are from: the candidate's fresh runs, or its screening run where that ended it."""
    interval_low: float | None = None
    interval_high: float | None = None
    """95 % interval of the difference."""
    p: float | None = None
    noise_sd: float | None = None
    """Of one run, as used."""
    noise_n: Count | None = None
    """Degrees of freedom behind it."""
    calibration: Count | None = None
    """Which calibration of the night it was judged under."""
    incumbent: Count
    """Experiment that leads after this one."""
    tokens_in: Count | None = None
    tokens_out: Count | None = None
    tokens_cached: Count | None = None
    cost_usd: NonNegative | None = None
    decided_at: str
