"""What a command needs of a sandbox, and what a box can do. The same for every kind of sandbox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from appliance.records import ArtifactFile, Clock, Device, ExecResult, Limits, Reason

Folder = Literal["TASK", "ASSET", "DATA", "RAW", "ARTIFACT", "CACHE"]
"""Read-only folders of a sandbox: `APPLIANCE_<name>` inside."""

Check = Callable[[Path], tuple[Reason, str] | None]
"""Looks at the folder of collected files; None passes, else why not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One execution of one command."""

    command: tuple[str, ...]
    """Argument vector; `{task}` in an argument becomes the task's folder inside."""
    folders: Mapping[Folder, Path]
    """Folder → host folder, mounted read-only. In the docker sandbox others must be able to read it."""
    device: Device
    limits: Limits = field(default_factory=Limits)
    budget_s: float = 0.0
    """The most that can be granted after the mark; handed in as APPLIANCE_BUDGET_S."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Handed in as APPLIANCE_PARAMS (JSON)."""
    clock: Clock | None = None
    """None: a command without a mark, which ends within `timeout_s` after its release."""
    timeout_s: float = 600.0
    """Wall clock of a command without a mark."""
    collect: tuple[ArtifactFile, ...] = ()
    """Files of `/out` taken over; each a plain name, each with its cap."""
    optional: frozenset[str] = frozenset({"claims.json"})
    """Of these, the ones whose absence is no failure."""
    out_folder: Path | None = None
    """Host folder mounted as `/out` for a trusted command (`prepare`); None: a capped folder in memory that vanishes."""
    profile: bytes = b"{}"
    """`control/profile.json`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Marks on everything made for it, e.g. `{"night": id, "run": "17"}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What a box is told when its turn comes, perhaps long after it was made."""

    seed: int = 0
    """Handed in with `control/release`."""
    startup_calibrated_s: float | None = None
    """Start-up of the unchanged asset on this machine; None while that is being found out: nothing is taken off the budget."""


class Box(Protocol):
    """One created sandbox: started, waiting for its release. A context manager; leaving it removes everything."""

    @property
    def name(self) -> str:
        """Name of the container or group."""

    @property
    def pid(self) -> int | None:
        """Host pid of the first process inside, for telemetry; None where the engine does not tell."""

    @property
    def lives(self) -> bool:
        """Whether it still runs: a box in stand-by can have gone with the engine.

        Raises:
            SandboxError: the engine does not answer.
        """

    def release(self, start: Start | None = None) -> None:
        """Let start-up begin. `run` does it where it was not done."""

    def run(self, collect: Path, check: Check | None = None, stopped: Callable[[], object] = ...) -> ExecResult:
        """Follow the protocol to its end and remove the box.

        `check` is the last thing before the clock starts, `stopped` the first after it stopped: between them the machine is the run's.
        Files `at = "mark"` are copied to `collect` while everything inside is frozen, then `check` is asked; files `at = "end"` after
        `done`. What came out is in the result; a program that failed is a value.

        Raises:
            SandboxError: the engine failed, not the program.
        """

    def pause(self) -> None:
        """Freeze every process inside (a box in stand-by costs no CPU then)."""

    def unpause(self) -> None:
        """Undo `pause`."""

    def stop(self) -> None:
        """From another thread: end the run now; `run` returns with `ended_by = "host"`."""

    def remove(self) -> None:
        """Kill and remove all of it; harmless when repeated. What a failing engine does not give up goes before the next box is made."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Sandbox(Protocol):
    """Makes boxes of one kind."""

    isolation: Literal["docker", "none"]
    image_digest: str | None

    def create(self, spec: Spec) -> Box:
        """Create and start a box; its command imports, says `ready` and waits for `release`.

        Raises:
            SandboxError: the engine failed.
            PrerequisiteError: image or engine are gone.
        """

    def sweep(self, labels: Mapping[str, str] | None = None) -> list[str]:
        """Remove what boxes of processes that are gone left, those with these labels (all without any); the names of what was removed.

        What this process's own boxes could not remove when their engine failed goes too.

        Raises:
            SandboxError: the engine failed.
        """

    def close(self) -> None:
        """Close what the sandbox holds open; boxes must be gone."""
