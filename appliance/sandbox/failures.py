"""Names for what went wrong inside a sandbox that worked. A pure function over the result; the texts it knows are the tests."""

import re

from appliance.records import ExecResult, Reason

SIGNATURES = (  # in the log's end; first match wins
    (
        Reason.OUT_OF_MEMORY,
        re.compile(r"CUDA out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|^MemoryError\b|can't allocate memory", re.M),
    ),
    (Reason.DISK_FULL, re.compile(r"No space left on device|Errno 28\b|Disk quota exceeded|Errno 27\b|File too large")),
    (Reason.TOO_MANY_PROCESSES, re.compile(r"Resource temporarily unavailable|can't start new thread|Errno 11\b")),
    (Reason.NOT_FINITE, re.compile(r"\b(?:loss|output|gradient|logits|weights)\b.{0,40}\b(?:not finite|non-finite|nan|inf)\b", re.I)),
    (Reason.SYNTAX_ERROR, re.compile(r"^(?:SyntaxError|IndentationError|TabError): ", re.M)),
)

_TAIL = 8000
"""Characters of the log's end that are looked at: what killed a program stands there."""

_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w.]*)?(?:Error|Exception|Interrupt|Exit|Warning|Refused)\b.*$|^[A-Za-z_][\w.]*\.[A-Z]\w*: .*$", re.M
)

_DETAIL = 300
"""Characters of a detail."""


def name(result: ExecResult) -> tuple[Reason, str] | None:
    """Why a command failed, and one line of cause for people; None when it worked.

    A command worked when it said `done` and everything it handed over was taken, whatever became of its children.
    """
    if result.refused_reason is not None:
        return result.refused_reason, _cut(result.refused or result.refused_reason.value)
    if result.done:
        return None
    tail = result.log_tail[-_TAIL:]
    if result.oom_killed:
        return Reason.OUT_OF_MEMORY, last_words(tail) if result.exit_code not in {
            None,
            0,
            137,
        } else "killed by the kernel: it needed more memory than it was given"
    if result.ended_by == "host":
        return Reason.INTERRUPTED, "ended by the host"
    if result.ended_by == "startup":
        return Reason.STARTUP_TIMEOUT, "start-up took longer than it may" if result.marked else "it never started the clock"
    if result.ended_by == "deadline":
        return Reason.TIMEOUT, "it was still running when its time was over"
    for reason, pattern in SIGNATURES:
        if pattern.search(tail):
            return reason, last_words(tail)
    if result.exit_code == 0:
        return (
            (Reason.NO_ARTIFACT, "it ended without handing anything over")
            if result.marked
            else (Reason.NO_MARK, "it ended without starting the clock")
        )
    return Reason.CRASH, last_words(tail) if _EXCEPTION.search(tail) else _signal(result.exit_code)


def last_words(tail: str) -> str:
    """The last exception of a log, else its last line."""
    found = _EXCEPTION.findall(tail)
    if found:
        return _cut(found[-1])
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return _cut(lines[-1]) if lines else "it said nothing"


def _signal(code: int | None) -> str:
    if code is None:
        return "it vanished"
    names = {
        132: "illegal instruction",
        134: "aborted",
        135: "bus error",
        136: "arithmetic error",
        137: "killed",
        139: "segmentation fault",
        143: "terminated",
    }
    return f"exit code {code}" + (f": {names[code]}" if code in names else "")


def _cut(text: str) -> str:
    return " ".join(text.split())[:_DETAIL]
