"""The protocol between host and sandbox, once for every kind of sandbox. `docs/protocol.md` is its text."""

import queue
import re
import secrets
import shutil
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from appliance import temporary
from appliance.errors import SandboxError
from appliance.records import ArtifactFile, ExecResult, Reason
from appliance.sandbox.spec import Check, Folder, Spec, Start
from appliance.sandbox.words import Log, Word

FOLDERS: tuple[Folder, ...] = ("TASK", "ASSET", "DATA", "RAW", "ARTIFACT", "CACHE")

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Refused(Exception):
    """A file that was handed over is not taken."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class End(msgspec.Struct, frozen=True, kw_only=True):
    """What the box's kind knows once everything inside is dead."""

    exit_code: int | None
    oom_killed: bool
    peak_memory_bytes: int | None


class _Course(msgspec.Struct, kw_only=True):
    """How far a run has come; monotonic seconds."""

    ended_by: Literal["program", "startup", "deadline", "host"] = "program"
    done: bool = False
    exit_code: int | None = None
    ready_at: float | None = None
    marked_at: float | None = None
    granted_at: float | None = None
    budget_s: float | None = None
    ended_at: float | None = None
    refused: Refused | None = None
    silent: bool = False
    """The log ended without a word of how the command exited."""


class ProtocolBox(ABC):
    """A started command and the host's side of its protocol. A kind of sandbox supplies how to freeze, copy, kill and remove."""

    exit_is_told: bool = False
    """Whether nothing inside can keep the box from telling how its command exited: then silence means that it was killed from outside."""

    def __init__(self, spec: Spec, nonce: str, control: Path) -> None:
        self.spec = spec
        self.nonce = nonce
        self.control = control
        self.log = Log(nonce, spec.limits.log_bytes)
        self.create_s = 0.0
        self._began = time.monotonic()
        self._released_at: float | None = None
        self._told = Start()
        self._frozen = False

    # What a kind of sandbox supplies -----------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the container or group."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """Host pid of the first process inside."""

    @property
    @abstractmethod
    def lives(self) -> bool:
        """Whether it still runs."""

    @abstractmethod
    def _freeze(self) -> None: ...

    @abstractmethod
    def _thaw(self) -> None: ...

    @abstractmethod
    def _copy(self, file: ArtifactFile, target: Path) -> bool:
        """Copy one file of `/out`; False where there is none. Raises Refused."""

    @abstractmethod
    def _kill(self) -> End:
        """Kill everything inside and tell how it ended."""

    @abstractmethod
    def remove(self) -> None:
        """Kill and remove all of it; harmless when repeated."""

    # The protocol ------------------------------------------------------------------------------------------------------------------

    def release(self, start: Start | None = None) -> None:
        """Let start-up begin."""
        if self._released_at is None:
            self._told = start or self._told
            _write(self.control / "release", msgspec.json.encode({"seed": self._told.seed}))
            self._released_at = time.monotonic()
        self.unpause()

    def pause(self) -> None:
        """Freeze every process inside."""
        if not self._frozen:
            self._freeze()
            self._frozen = True

    def unpause(self) -> None:
        """Undo `pause`."""
        if self._frozen:
            self._thaw()
            self._frozen = False

    def stop(self) -> None:
        """From another thread: end the run now."""
        self.log.words.put(Word("stop", time.monotonic()))

    def run(self, collect: Path, check: Check | None = None, stopped: Callable[[], object] = lambda: None) -> ExecResult:
        """Follow the protocol to its end and remove the box."""
        try:
            collect.mkdir(parents=True, exist_ok=True)
            self.release()
            course = _Course()
            self._follow(course, collect, check, stopped)
            gone = self.exit_is_told and (course.silent or (course.refused is not None and not self.lives))  # nothing to copy in a dead one
            end = self._kill()
            if gone and not end.oom_killed:
                raise SandboxError("something outside the sandbox killed it: did the engine restart?")
            return self._result(course, end)
        finally:
            self.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.remove()

    def _follow(self, course: _Course, collect: Path, check: Check | None, stopped: Callable[[], object]) -> None:
        assert self._released_at is not None
        clock = self.spec.clock
        if clock is None:
            if self._await(course, {"done"}, self._released_at + self.spec.timeout_s, "deadline"):
                self._take_over(course, collect, "end")
            return
        deadline = self._released_at + clock.startup_cap_s
        if not self._await(course, {"mark"}, deadline, "startup"):
            return
        self._take_over(course, collect, "mark")
        if course.refused is None and check is not None and (verdict := check(collect)) is not None:
            course.refused = Refused(*verdict)
        course.budget_s = self._granted(course)
        if course.refused is not None or course.budget_s <= 0:
            course.ended_by = "startup" if course.refused is None else "host"
            return
        _write(self.control / "grant", msgspec.json.encode({"budget_s": course.budget_s}))
        course.granted_at = time.monotonic()
        self.unpause()
        finished = self._await(course, {"done"}, course.granted_at + course.budget_s + clock.finish_cap_s, "deadline")
        stopped()
        if finished:
            self._take_over(course, collect, "end")

    def _await(self, course: _Course, wanted: set[str], deadline: float, late: Literal["startup", "deadline"]) -> bool:
        """Wait for a word; False when the program ended, the night stopped or the deadline passed, and `course` says which."""
        while True:
            try:
                word = self.log.words.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                course.ended_by, course.ended_at = late, deadline
                return False
            if word.name == "stop":
                course.ended_by, course.ended_at = "host", word.at
                return False
            if word.name == "ready" and course.ready_at is None:
                course.ready_at = word.at
            if word.name in wanted and word.at <= deadline:
                if word.name == "mark":
                    course.marked_at = word.at
                else:
                    course.done, course.ended_at = True, word.at
                return True
            if word.name in {"exit", "eof"}:
                course.ended_at = word.at
                course.exit_code = int(word.argument) if word.argument.isdigit() else None
                course.silent = word.name == "eof"
                return False

    def _granted(self, course: _Course) -> float:
        """Budget, less the start-up beyond the calibrated one and its allowance. Imports do not count: start-up begins at `ready`."""
        calibrated, clock = self._told.startup_calibrated_s, self.spec.clock
        if calibrated is None or clock is None:
            return self.spec.budget_s
        return self.spec.budget_s - max(0.0, self._startup(course) - calibrated - clock.startup_allowance_s)

    def _startup(self, course: _Course) -> float:
        assert course.marked_at is not None
        assert self._released_at is not None
        return max(0.0, course.marked_at - max(self._released_at, course.ready_at or 0.0))

    def _take_over(self, course: _Course, collect: Path, at: Literal["mark", "end"]) -> None:
        """Freeze everything inside, so that nothing changes or trains meanwhile, and copy the files of this moment."""
        self.pause()
        try:
            for file in self.spec.collect:
                if file.at == at and not self._copy(file, collect / file.name) and file.name not in self.spec.optional:
                    course.refused = Refused(Reason.NO_ARTIFACT, f"{file.name} is not there")
                    return
        except Refused as refused:
            course.refused = refused

    def _result(self, course: _Course, end: End) -> ExecResult:
        ended_at = course.ended_at or time.monotonic()
        train = None if course.granted_at is None else max(0.0, ended_at - course.granted_at)
        code = course.exit_code
        if code is None and course.ended_by == "program" and not course.done:
            code = end.exit_code
        return ExecResult(
            exit_code=code,
            ended_by=course.ended_by,
            oom_killed=end.oom_killed,
            done=course.done,
            marked=course.marked_at is not None,
            create_s=self.create_s,
            startup_s=None if course.marked_at is None else self._startup(course),
            budget_s=course.budget_s if course.granted_at is not None else None,
            finish_s=max(0.0, train - course.budget_s) if train is not None and course.budget_s is not None and course.done else None,
            train_s=train,
            wall_s=time.monotonic() - self._began,
            peak_memory_bytes=end.peak_memory_bytes,
            log_tail=self.log.tail(),
            log_dropped_bytes=self.log.dropped_bytes,
            refused=course.refused.detail if course.refused else None,
            refused_reason=course.refused.reason if course.refused else None,
        )


def new_control(spec: Spec) -> tuple[str, Path]:
    """A nonce and the folder through which the host speaks, with the profile in it."""
    check_names(spec)
    control = temporary.make("control")
    _write(control / "profile.json", spec.profile)
    return secrets.token_hex(8), control


def remove_control(control: Path) -> None:
    """Remove the folder; harmless when repeated."""
    shutil.rmtree(control, ignore_errors=True)


def environment(spec: Spec, nonce: str, folder: dict[str, str], threads: int) -> dict[str, str]:
    """All variables of the command; `folder` maps names such as `OUT` to paths inside."""
    values: dict[str, str] = {f"APPLIANCE_{name}": path for name, path in folder.items()}
    values |= {
        "APPLIANCE_NONCE": nonce,
        "APPLIANCE_BUDGET_S": repr(float(spec.budget_s)),
        "APPLIANCE_PARAMS": msgspec.json.encode(dict(spec.params)).decode(),
        "OMP_NUM_THREADS": str(threads),
    }
    return values


def argv(spec: Spec, task: str) -> list[str]:
    """The command with the task's folder put in."""
    return [part.replace("{task}", task) for part in spec.command]


def check_names(spec: Spec) -> None:
    """Raise SandboxError where the spec itself is wrong: it comes from our own code."""
    for file in spec.collect:
        if not _PLAIN_NAME.fullmatch(file.name):
            raise SandboxError(f"{file.name!r} is no plain file name to collect")
    for name, host in spec.folders.items():
        if not host.is_dir():
            raise SandboxError(f"{name}: there is no folder {host}")


def check_readable(spec: Spec) -> None:
    """Raise SandboxError where a mounted folder hides from the sandbox's user."""
    for name, host in spec.folders.items():
        if not host.stat().st_mode & stat.S_IROTH or not host.stat().st_mode & stat.S_IXOTH:
            raise SandboxError(f"{name}: other users cannot read {host}: chmod -R o+rX it")


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.chmod(0o644)
    part.rename(path)
