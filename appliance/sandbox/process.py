"""The process sandbox: the same protocol with plain processes, for machines that are containers themselves. It isolates nothing.

Covered: a scrubbed environment; limits on memory and disk, looked at twenty times a second; the whole tree is killed, processes that left
their parent included. Root gives each run a user of its own, which bounds the number of its processes; where its folders are closed to
other users it cannot, and a fork bomb is then met by those looks alone. Not covered: the network, the rest of the file system, other
processes of the same user. Every record of it says `isolation = none`.
"""

import contextlib
import json
import os
import resource
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

from appliance.errors import SandboxError
from appliance.records import ArtifactFile, Reason
from appliance.sandbox import keeper
from appliance.sandbox.box import End, ProtocolBox, Refused, argv, environment, new_control, remove_control
from appliance.sandbox.limits import cpus_of, memory_of
from appliance.sandbox.spec import Spec

LOOK_S = 0.05
"""Between two looks at what the tree uses."""

KILL_S = 10.0
"""Longest wait for killed processes to be gone."""

FIRST_USER = 1_000_000
"""Runs get users from here on, where no system keeps accounts."""

_PAGE = resource.getpagesize()


class ProcessSandbox:
    """Boxes that are process trees."""

    isolation: Literal["docker", "none"] = "none"
    image_digest: str | None = None

    def __init__(self, *, python: Path | None = None) -> None:
        self.python = python or Path(sys.executable)

    def close(self) -> None:
        """Nothing is held open."""

    def create(self, spec: Spec) -> "ProcessBox":
        """Start a process tree."""
        return ProcessBox(self, spec)

    def sweep(self, labels: Mapping[str, str] | None = None) -> list[str]:
        """Nothing: the keepers of a host that is gone kill its trees, and folders are found by their names (`temporary.sweep`)."""
        return []


class ProcessBox(ProtocolBox):
    """One keeper, the command below it, and their folder."""

    def __init__(self, sandbox: ProcessSandbox, spec: Spec) -> None:
        began = time.monotonic()
        nonce, control = new_control(spec)
        super().__init__(spec, nonce, control)
        self._work = control.with_name(control.name.replace("-control-", "-work-"))
        self._peak_bytes = 0
        self._oom_killed = False
        self._over = threading.Event()
        self._keeper: subprocess.Popen[bytes] | None = None
        try:
            self._start(sandbox)
        except BaseException:
            self.remove()
            raise
        self.create_s = time.monotonic() - began

    def _start(self, sandbox: ProcessSandbox) -> None:
        spec = self.spec
        (self._work / "tmp").mkdir(parents=True)
        self.out = spec.out_folder.absolute() if spec.out_folder is not None else self._work / "out"
        self.out.mkdir(exist_ok=True)
        self.user = _own_user([sandbox.python, sandbox.python.resolve(), self._work, *spec.folders.values()])
        if self.user is not None:
            for folder in (self.out, self._work / "tmp"):
                os.chown(folder, self.user, self.user)
        folders: dict[str, str] = {name: str(host.absolute()) for name, host in spec.folders.items()}
        folders |= {"CONTROL": str(self.control), "OUT": str(self.out)}
        temporary = str(self._work / "tmp")
        variables = environment(spec, self.nonce, folders, max(1, int(cpus_of(spec.limits))))
        variables |= {
            "HOME": temporary,
            "TMPDIR": temporary,
            "PATH": f"{sandbox.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CUDA_VISIBLE_DEVICES": spec.device.uuid or "" if spec.device.kind == "cuda" else "",
        }
        command = argv(spec, folders.get("TASK", ""))
        if command[0] in {"python", "python3"}:
            command[0] = str(sandbox.python)
        processes = spec.limits.pids + (_processes_of(os.getuid()) if self.user is None else 0)
        limits = {
            "RLIMIT_NPROC": processes,
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": 4096,
            "RLIMIT_FSIZE": max(spec.limits.out_bytes, spec.limits.tmp_bytes),
        }
        request = {"argv": command, "environment": variables, "folder": temporary, "nonce": self.nonce, "limits": limits, "user": self.user}
        try:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", keeper.__file__, json.dumps(request)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"cannot start a process: {error}") from error
        readers = [threading.Thread(target=self._read, args=(number, pipe), daemon=True) for number, pipe in self._pipes()]
        for reader in readers:
            reader.start()
        threading.Thread(target=self._watch, args=(readers,), daemon=True).start()

    def _pipes(self) -> list[tuple[int, IO[bytes]]]:
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        assert self._keeper.stderr is not None
        return [(1, self._keeper.stdout), (2, self._keeper.stderr)]

    @property
    def name(self) -> str:
        """Name of the group."""
        return f"process-{self.nonce}"

    @property
    def pid(self) -> int | None:
        """Pid of the keeper: everything of the run is below it."""
        return self._keeper.pid if self._keeper is not None else None

    @property
    def lives(self) -> bool:
        """Whether the keeper still runs."""
        return self._keeper is not None and self._keeper.poll() is None

    def _read(self, number: int, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), 65_536):
                if wait := self.log.feed(number, data):
                    time.sleep(wait)

    def _watch(self, readers: list[threading.Thread]) -> None:
        """Look at what the tree uses; kill it where it uses more than allowed."""
        assert self._keeper is not None
        limits, root = self.spec.limits, self._keeper.pid
        memory = memory_of(limits)
        while self._keeper.poll() is None:
            pids = keeper.descendants(root)
            used = sum(_private_bytes(pid) for pid in pids)
            self._peak_bytes = max(self._peak_bytes, used)
            reason = None
            if used > memory:
                self._oom_killed = True
                reason = f"used {used} bytes of memory, at most {memory} are allowed"
            elif len(pids) > limits.pids:
                reason = f"more than {limits.pids} processes: Resource temporarily unavailable"
            elif self.spec.out_folder is None and not _fits(self._work, limits.out_bytes + limits.tmp_bytes):
                reason = "No space left on device"
            if reason is not None:
                self.log.feed(2, f"killed by the host: {reason}\n".encode())
                self._signal(signal.SIGKILL)
            if self._over.wait(LOOK_S):
                break
        for reader in readers:
            reader.join()
        self.log.end()

    def _signal(self, number: int) -> None:
        """Signal everything below the keeper."""
        if self._keeper is None:
            return
        if self.user is not None:
            # As that user, to all of its processes at once: the kernel misses none, however fast they fork.
            subprocess.run(
                ["/bin/sh", "-c", f"kill -{number} -1"], user=self.user, group=self.user, extra_groups=[], check=False, timeout=60
            )
        elif number == signal.SIGKILL:
            keeper.kill_all(self._keeper.pid)
        else:
            keeper.signal_all(self._keeper.pid, number)

    def _freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def _thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _copy(self, file: ArtifactFile, target: Path) -> bool:
        try:
            source = os.open(self.out / file.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Refused(Reason.ARTIFACT_NOT_ALLOWED, f"{file.name} is not a regular file") from error
        part = target.with_name(f".{target.name}.part")
        try:
            about = os.fstat(source)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
                raise Refused(Reason.ARTIFACT_NOT_ALLOWED, f"{file.name} is not a regular file")
            if about.st_size > file.max_bytes:
                raise Refused(Reason.ARTIFACT_TOO_LARGE, f"{file.name} has {about.st_size} bytes, at most {file.max_bytes} are taken")
            left = file.max_bytes
            with part.open("xb") as out:
                while left and (chunk := os.read(source, min(1 << 20, left))):
                    out.write(chunk)
                    left -= len(chunk)
            part.replace(target)
        finally:
            os.close(source)
            part.unlink(missing_ok=True)
        return True

    def _kill(self) -> End:
        if self._keeper is not None:
            self._signal(signal.SIGKILL)
            limit = time.monotonic() + KILL_S
            while keeper.descendants(self._keeper.pid) and time.monotonic() < limit:  # the keeper reaps them
                time.sleep(0.005)
            self._over.set()
            self._keeper.kill()
            self._keeper.wait()
            for _, pipe in self._pipes():
                pipe.close()
        self._frozen = False
        return End(exit_code=None, oom_killed=self._oom_killed, peak_memory_bytes=self._peak_bytes or None)

    def remove(self) -> None:
        """Kill the tree and remove its folder."""
        if self._keeper is not None and self._keeper.returncode is None:
            self._kill()
        shutil.rmtree(self._work, ignore_errors=True)
        remove_control(self.control)


def _own_user(needed: list[Path]) -> int | None:
    """As root: a user of the run's own, so that its processes can be counted and killed as one; None where it could not read its files."""
    if os.getuid() != 0:
        return None
    for path in needed:
        for part in (path.absolute(), *path.absolute().parents):
            if not part.stat().st_mode & stat.S_IXOTH:
                return None
    return FIRST_USER + secrets.randbelow(FIRST_USER)


def _processes_of(user: int) -> int:
    """Threads of a user, as RLIMIT_NPROC counts them."""
    total = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == user:
                total += len(list((entry / "task").iterdir()))
    return total


def _private_bytes(pid: int) -> int:
    """Resident memory that is the process's own: shared pages would count once for every fork."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE


def _fits(folder: Path, cap: int) -> bool:
    """Whether the files below a folder take no more disk than `cap`."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(Path(root) / name).st_blocks * 512
    return total <= cap
