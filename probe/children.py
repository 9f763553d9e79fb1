"""A phase in a process of its own: a request in, answers out as JSON lines, and its last words when it dies.

Processes are forked from this one after it imported torch and before it used it: no thread pool, no CUDA context, nothing of another phase,
and no second import (seconds each on a small machine). A crash, a hang or a leak stays in its phase.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import IO, NoReturn

ANSWER = "::answer "
"""Begins an answer's line; everything else a child prints is progress."""

Serve = Callable[[str, dict], None]
"""(phase, request): runs it, printing answers."""


class PhaseError(Exception):
    """A phase that the whole measurement needs did not finish."""


class DiedError(Exception):
    """The child ended before it finished. The message is the reason, one line."""


def answer(value: dict) -> None:
    """In a child: one answer, on a line of its own."""
    print("\n" + ANSWER + json.dumps(value, allow_nan=False), flush=True)


def one(serve: Serve, phase: str, request: dict, progress: Callable[[str], None], timeout_s: float) -> dict:
    """The last answer of a phase.

    Raises:
        PhaseError: it died or ran out of time.
    """
    try:
        answers = list(stream(serve, phase, request, progress, timeout_s))
    except DiedError as error:
        raise PhaseError(f"phase {phase}: {error}") from error
    return answers[-1]


def stream(serve: Serve, phase: str, request: dict, progress: Callable[[str], None], timeout_s: float) -> Iterator[dict]:
    """Answers as they come.

    Raises:
        DiedError: it ended badly or was ended at the time limit; the answers before it stand.
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(out_read)
        os.close(err_read)
        _run(serve, phase, request, out_write, err_write)
    os.close(out_write)
    os.close(err_write)
    last_words: list[str] = []
    late = threading.Event()

    def end() -> None:
        late.set()
        os.kill(pid, signal.SIGKILL)

    reader = threading.Thread(target=_drain, args=(os.fdopen(err_read, errors="replace"), last_words), daemon=True)
    timer = threading.Timer(timeout_s, end)
    reader.start()
    timer.start()
    answered = False
    try:
        with os.fdopen(out_read, errors="replace") as lines:
            for line in lines:
                if line.startswith(ANSWER):
                    answered = True
                    yield json.loads(line[len(ANSWER) :])
                elif line.strip():
                    progress("  " + line.strip()[:200])
    finally:
        timer.cancel()
        timer.join()
        _, status = _reap(pid)
        reader.join(timeout=5)
    code = os.waitstatus_to_exitcode(status)
    if late.is_set():
        raise DiedError(f"no answer within {timeout_s:.0f} s")
    if code < 0:
        raise DiedError(f"the process died of {signal.Signals(-code).name}")
    if code > 0 or not answered:
        raise DiedError(_last_line(last_words) or f"the process ended with code {code}")


def _run(serve: Serve, phase: str, request: dict, out: int, err: int) -> NoReturn:
    """The child: never returns into the parent's code."""
    code = 1
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        serve(phase, request)
        code = 0
    except SystemExit as error:
        print(error.code, file=sys.stderr)
    except BaseException:  # whatever it is, the parent reads the traceback's last line
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap(pid: int) -> tuple[int, int]:
    """Wait for a child that closed its output; one that lingers is ended."""
    guard = threading.Timer(10.0, lambda: os.kill(pid, signal.SIGKILL))
    guard.start()
    try:
        return os.waitpid(pid, 0)
    finally:
        guard.cancel()
        guard.join()


def _drain(pipe: IO[str], words: list[str]) -> None:
    with pipe:
        for line in pipe:
            words.append(line.rstrip())
            del words[:-50]


def _last_line(words: list[str]) -> str:
    """A traceback ends with its exception."""
    return next((line.strip()[:300] for line in reversed(words) if line.strip()), "")
