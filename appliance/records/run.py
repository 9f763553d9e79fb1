"""One run: one execution of one asset with one seed in one sandbox, and the row the ledger keeps of it."""

from enum import StrEnum
from typing import Literal

from appliance.records.base import FORMAT_VERSION, Count, NonNegative, Record
from appliance.records.device import Telemetry

RunKind = Literal["calibration", "screen", "replicate", "rebaseline", "confirm", "attribute"]
RunStatus = Literal["ok", "failed", "rejected", "invalid", "interrupted"]
Isolation = Literal["docker", "none"]


class Reason(StrEnum):
    """Why a run is not ok. One enum for every record; `disturbed_*`, and the first `suspicious` of an asset, belong to `invalid`."""

    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    STARTUP_TIMEOUT = "startup_timeout"
    CRASH = "crash"
    SYNTAX_ERROR = "syntax_error"
    NOT_FINITE = "not_finite"
    NO_MARK = "no_mark"
    NO_ARTIFACT = "no_artifact"
    ARTIFACT_TOO_LARGE = "artifact_too_large"
    ARTIFACT_NOT_ALLOWED = "artifact_not_allowed"
    ARTIFACT_CHANGED = "artifact_changed"
    DISK_FULL = "disk_full"
    TOO_MANY_PROCESSES = "too_many_processes"
    NOT_CAUSAL = "not_causal"
    NOT_DETERMINISTIC = "not_deterministic"
    WRONG_SHAPE = "wrong_shape"
    EVALUATION_FAILED = "evaluation_failed"
    SUSPICIOUS = "suspicious"
    INTERRUPTED = "interrupted"
    DISTURBED_CONTENTION = "disturbed_contention"
    DISTURBED_STEAL = "disturbed_steal"
    DISTURBED_THERMAL = "disturbed_thermal"
    DISTURBED_POWER = "disturbed_power"
    DISTURBED_CLOCK = "disturbed_clock"
    DISTURBED_MEMORY = "disturbed_memory"
    DISTURBED_SUSPEND = "disturbed_suspend"
    DISTURBED_DEVICE = "disturbed_device"


class ExecResult(Record, frozen=True, kw_only=True):
    """What a program did inside a sandbox that worked."""

    exit_code: int | None
    """None when the host ended it."""
    ended_by: Literal["program", "startup", "deadline", "host"]
    """`program`: it said done or exited; `host`: a check at the mark failed or the night stopped."""
    oom_killed: bool = False
    done: bool = False
    marked: bool = False
    create_s: NonNegative
    startup_s: NonNegative | None = None
    """From release to mark."""
    budget_s: NonNegative | None = None
    """Granted after the mark."""
    finish_s: NonNegative | None = None
    """From the end of the granted budget to `done`; 0 when it was done before."""
    train_s: NonNegative | None = None
    """From grant to `done` or the end."""
    wall_s: NonNegative
    peak_memory_bytes: Count | None = None
    log_tail: str = ""
    """Cleaned of control characters, capped."""
    log_dropped_bytes: Count = 0
    refused: str | None = None
    """Why a check or the collection refused what it handed over; None when all was taken."""
    refused_reason: Reason | None = None


class Score(Record, frozen=True, kw_only=True):
    """What the evaluator said about one artifact on one split."""

    split: str
    score: float
    score_legacy: float | None = None
    bytes: Count = 0
    documents: list[tuple[float, int]] = []
    """Per document: (sum of the metric's numerator, its weight), for the bootstrap over documents; empty in search runs."""
    observables: dict[str, float] = {}
    """What the evaluator measured of the artifact; takes the place of claims of the same name."""


class Run(Record, frozen=True, kw_only=True):
    """One row of `runs/`."""

    format_version: int = FORMAT_VERSION
    night_id: str
    experiment: Count
    """0 is the baseline."""
    run: Count
    """Counts up over the night."""
    for_experiment: Count | None = None
    """Experiment whose verdict asked for this run, where that is another: an incumbent's half of a pair."""
    kind: RunKind
    status: RunStatus
    reason: Reason | None = None
    detail: str | None = None
    """One line of cause for people: the exception, the check's sentence."""
    suspicious: list[str] = []
    """Names of what it cannot be believed for; such a run is repeated once with another seed, then the asset is rejected."""
    metric: str
    score: float | None = None
    scores: list[Score] = []
    seed: int | None
    """None where an imported file does not tell."""
    asset_sha256: str
    image_digest: str | None = None
    data_sha256: str | None = None
    profile_sha256: str | None = None
    task_sha256: str
    isolation: Isolation
    device: str
    driver: str | None = None
    torch: str | None = None
    """Version of the runtime in the image, where it has one."""
    dataset: str | None = None
    """Corpus it was trained on."""
    started_at: str
    create_s: NonNegative | None = None
    startup_s: NonNegative | None = None
    budget_s: NonNegative | None = None
    finish_s: NonNegative | None = None
    evaluate_s: NonNegative | None = None
    wall_s: NonNegative | None = None
    phases: dict[str, NonNegative] = {}
    """Where `wall_s` went, in seconds; their sum. `create`, `import` (and taking over the mark's files), `startup`, `mark` (its
    checks), `budget`, `finish` (beyond the budget), `collect` (weights copied, everything inside killed and removed), `check`, `standby`
    (the next run's sandbox made), `evaluate`. Empty where the run is another's or older than this field."""
    observables: dict[str, float] = {}
    curve: list[tuple[float, float, float]] = []
    """(seconds, step, value), at most 200 points."""
    telemetry: Telemetry = Telemetry()
    log_tail: str = ""
    sandbox_failures: Count = 0
    """Times the sandbox itself failed before this came of it; says nothing of the asset."""
