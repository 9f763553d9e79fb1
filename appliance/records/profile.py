"""Facts about one kind of device: datasheet values and measurements, each with its source.

Rates are FLOP/s, bandwidths bytes/s: plain SI, no prefixes in files. None means unknown; nobody guesses.
"""

from typing import Any

from appliance.records.base import FORMAT_VERSION, Count, NonNegative, Positive, PositiveInt, Record


class AttentionResult(Record, frozen=True, kw_only=True):
    """One attention backend at one case, measured in a process of its own."""

    backend: str
    head_dim: PositiveInt
    window: PositiveInt | None = None
    """Tokens each query sees; None is full causal."""
    dtype: str = "bfloat16"
    accepted: bool
    reason: str | None = None
    """Why it was rejected (exception, wrong by how much)."""
    forward_s: Positive | None = None
    backward_s: Positive | None = None


class MatrixRate(Record, frozen=True, kw_only=True):
    """Matrix products of one dtype."""

    dtype: str
    flops: Positive
    """Best shape, measured again in a fresh process. FLOP/s."""
    shape: tuple[int, int, int]
    """M, K, N."""
    sustained_flops: Positive | None = None
    samples_s: list[float] = []
    """Raw seconds per product of the confirming process."""
    throttled_samples: Count = 0


class Measurement(Record, frozen=True, kw_only=True):
    """One run of the probe on one device: `<benchmark version>-<date>-<sha8>.json`."""

    schema_version: int = FORMAT_VERSION
    benchmark_version: str
    measured_at: str
    """UTC, ISO 8601."""
    mode: str
    """`quick` or `full`."""
    device: dict[str, Any]
    """`Device` without what identifies a machine (uuid, processes)."""
    environment: dict[str, str | None]
    """driver, cuda, cudnn, torch, python, image_digest, isolation."""
    matrix: list[MatrixRate]
    mamf_v2_flops: Positive | None = None
    """BF16, comparable with the published Maximum Achievable Matmul FLOPS table. FLOP/s."""
    mamf_v2_shape: tuple[int, int, int] | None = None
    mamf_v2_samples_s: list[float] = []
    """Raw seconds per product; the figure is 2·M·K·N over their mean, as the table's is."""
    copy_bytes_per_s: Positive | None = None
    """As all bandwidths here the best of its samples; a CPU's are of the one visit, of several, that found least."""
    triad_bytes_per_s: Positive | None = None
    bandwidth_samples_s: dict[str, list[float]] = {}
    bandwidth_bytes: dict[str, int] = {}
    """Bytes moved by one sample, per kind."""
    host_to_device_bytes_per_s: Positive | None = None
    device_to_host_bytes_per_s: Positive | None = None
    usable_memory_bytes: PositiveInt | None = None
    attention: list[AttentionResult] = []
    attention_winners: list[dict[str, Any]] = []
    """One per (head_dim, window): `{"head_dim", "window", "backend", "tied": [...]}`."""
    launch_overhead_s: NonNegative | None = None
    container_startup_s: NonNegative | None = None
    dropped_samples: dict[str, int] = {}
    """What was thrown away as disturbed, per kind (`matrix`, `bandwidth`): never in the samples above."""
    notes: list[str] = []
    """What the probe could not measure, and why."""
    shared_device: bool = False
    """Another process used the device meanwhile: not to be shared."""
    telemetry: list[dict[str, Any]] = []
    seconds: NonNegative | None = None
    sha256: str | None = None
    """Of the canonical JSON without this field."""


class Sourced(Record, frozen=True, kw_only=True):
    """A datasheet value and where it stands."""

    value: float | None
    unit: str
    source: str | None = None
    note: str | None = None
    dense: bool | None = None
    accumulate: str | None = None


class Datasheet(Record, frozen=True, kw_only=True):
    """What vendors and others publish about one board."""

    schema_version: int = FORMAT_VERSION
    vendor: str
    name: str
    nvml_names: list[str] = []
    """Exact names that NVML gives this board."""
    pci_ids: list[str] = []
    """`vendor:device` hex pairs, where known."""
    architecture: str | None = None
    compute_capability: str | None = None
    sm_count: int | None = None
    unified_memory: bool = False
    values: dict[str, Sourced] = {}
    """bf16_flops, fp16_flops, fp8_flops, memory_bytes, bandwidth_bytes_per_s, power_w."""
    note: str | None = None


class Profile(Record, frozen=True, kw_only=True):
    """What the rest of the appliance gets: one device's facts, resolved from a datasheet and a measurement."""

    device_slug: str
    device_kind: str
    name: str
    datasheet: Datasheet | None = None
    measurement: Measurement | None = None
    sha256: str
    """Names these facts in every row."""
    peak_flops: Positive | None = None
    """What MFU is measured against: measured BF16 (GPU) or the fastest measured dtype (CPU). FLOP/s."""
    peak_source: str | None = None
    bandwidth_bytes_per_s: Positive | None = None
    usable_memory_bytes: PositiveInt | None = None
    attention_backend: str | None = None
    """Winner at full causal, head dim 64."""
    notes: list[str] = []
    """What is unknown, and why this profile was chosen."""
