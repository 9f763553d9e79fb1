"""What is in the machine, as NVML or the CPU reports it."""

from typing import Literal

from appliance.records.base import Count, NonNegative, Positive, PositiveInt, Record

DeviceKind = Literal["cuda", "cpu"]


class Device(Record, frozen=True, kw_only=True):
    """One device. A field that the source refuses is None, and `refused` says why."""

    kind: DeviceKind
    index: Count
    """Position among the devices of its kind, as the source enumerates them."""
    name: str
    """NVML name, or the CPU's model name; exact, never normalised."""
    slug: str
    """Lower-case name for folders and night ids, e.g. `nvidia-h200`, `amd-epyc-2c`."""
    uuid: str | None = None
    """NVML UUID; never leaves the machine unhashed."""
    pci_id: str | None = None
    """vendor:device:subsystem-vendor:subsystem-device, lower-case hex: `10de:2335:10de:18be`."""
    compute_capability: str | None = None
    sm_count: PositiveInt | None = None
    memory_total_bytes: PositiveInt | None = None
    memory_usable_bytes: PositiveInt | None = None
    """What a run may take: free memory of a GPU; MemAvailable on unified memory and CPUs."""
    memory_unified: bool = False
    """Host and device share one memory (GB10, Jetson): an out-of-memory freezes the host."""
    ecc: bool | None = None
    mig: bool | None = None
    virtual: bool | None = None
    laptop: bool | None = None
    power_limit_w: Positive | None = None
    power_default_w: Positive | None = None
    power_max_w: Positive | None = None
    sm_clock_mhz: Count | None = None
    sm_clock_max_mhz: Count | None = None
    memory_clock_mhz: Count | None = None
    memory_clock_max_mhz: Count | None = None
    pcie_generation: Count | None = None
    pcie_width: Count | None = None
    driver: str | None = None
    """Driver version; the kernel release for a CPU."""
    cuda: str | None = None
    """Highest CUDA version of the driver, `13.0`."""
    temperature_c: float | None = None
    utilization: float | None = None
    """Share of time busy, 0..1, when detected."""
    processes: list[int] | None = None
    """Pids of others that hold the device."""
    cores: PositiveInt | None = None
    """CPU: cores this process may use."""
    vector_extensions: list[str] = []
    numa_nodes: PositiveInt | None = None
    refused: dict[str, str] = {}
    """Field → reason, for each field the source would not tell."""


class Telemetry(Record, frozen=True, kw_only=True):
    """The host's own readings beside one run; what validity is decided from, before the score is read."""

    samples: Count = 0
    interval_s: Positive | None = None
    sm_clock_mhz_median: NonNegative | None = None
    power_w_mean: NonNegative | None = None
    temperature_c_max: float | None = None
    energy_j: NonNegative | None = None
    events: list[str] = []
    """Names of NVML clock-event reasons seen (`hw_slowdown`, `sw_thermal`, …)."""
    other_processes: Count | None = None
    """Most processes of others on the device at once."""
    cpu_steal_share: NonNegative | None = None
    """CPU: share of time stolen by the hypervisor while the run lasted."""
    cpu_others_share: NonNegative | None = None
    """CPU: share of the machine's core-seconds used outside the run's own container."""
    cpu_pressure_share: NonNegative | None = None
    """PSI `some` CPU stall over the run, 0..1; None where the kernel has no PSI."""
    cpu_pressure_own_share: NonNegative | None = None
    """The same, of the run's own cgroup alone; None without cgroup v2."""
    cpu_frequency_mhz_median: NonNegative | None = None
    memory_available_min_bytes: Count | None = None
    peak_memory_bytes: Count | None = None
    """Most memory the run's container held, by the engine's or kernel's account."""
    suspended_s: NonNegative = 0.0
    """Boot-time minus monotonic time over the run: the machine slept."""
    causes: list[str] = []
    """What disturbed the run, by name; empty when nothing outside it did."""
