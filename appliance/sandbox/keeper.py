"""First process of a process sandbox: starts the command, adopts its orphans, and lets none of them outlive the host's interest.

Runs alone (`python -I keeper.py REQUEST`), so it imports nothing of ours. REQUEST is JSON: argv, environment, folder, nonce, limits, user.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def descendants(root: int) -> list[int]:
    """Pids below `root`, by the kernel's table of parents."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def signal_all(root: int, number: int) -> None:
    """Send a signal to everything below `root`, until a look finds nobody new: who forks meanwhile is met in the next look."""
    met: set[int] = set()
    while new := [pid for pid in descendants(root) if pid not in met]:
        for pid in new:
            met.add(pid)
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue


def kill_all(root: int) -> None:
    """Stop, then kill everything below `root`."""
    signal_all(root, signal.SIGSTOP)
    signal_all(root, signal.SIGKILL)


def signal_user(user: int, number: int) -> None:
    """Send a signal to every process of a user in one call of the kernel: a fork bomb cannot outrun it."""
    helper = os.fork()
    if helper == 0:
        become(user)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
        os._exit(0)
    os.waitpid(helper, 0)


def become(user: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))


def main(request: dict[str, object]) -> None:
    """Start the command, tell how it exited, then wait to be killed."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = os.getppid()
    argv: list[str] = request["argv"]  # type: ignore[assignment]
    user: int | None = request["user"]  # type: ignore[assignment]
    command = os.fork()
    if command == 0:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(str(request["folder"]))
        _limit(request["limits"])  # type: ignore[arg-type]
        if user is not None:
            become(user)
        try:
            os.execvpe(argv[0], argv, request["environment"])  # type: ignore[arg-type]  # noqa: S606 - no shell on purpose
        except OSError as error:
            os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
            os._exit(127)
    while os.getppid() == host:
        signal.sigtimedwait({signal.SIGCHLD}, 0.5)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == command:
                code = os.waitstatus_to_exitcode(status)
                os.write(1, f"\n::appliance {request['nonce']} exit {code if code >= 0 else 128 - code}\n".encode())
    if user is not None:
        signal_user(user, signal.SIGKILL)
    kill_all(os.getpid())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
