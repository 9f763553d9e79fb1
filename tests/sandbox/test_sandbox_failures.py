"""Names of failures, from texts that real runs left."""

import pytest

from appliance.records import ExecResult, Reason
from appliance.sandbox import failures

OUT_OF_GPU_MEMORY = """Traceback (most recent call last):
  File "/task/harness.py", line 88, in <module>
    main()
  File "/asset/train.py", line 210, in main
    loss.backward()
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.55 GiB."""

OUT_OF_CPU_MEMORY = """    x = torch.empty(10**12)
        ^^^^^^^^^^^^^^^^^^^
RuntimeError: [enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 TB."""

FULL = """  File "/task/run.py", line 10, in put
    handle.write(text)
OSError: [Errno 28] No space left on device"""

FORKS = """    while True: os.fork()
                ^^^^^^^^^
BlockingIOError: [Errno 11] Resource temporarily unavailable
Killed"""

THREADS = """    _start_new_thread(self._bootstrap, ())
RuntimeError: can't start new thread"""

SYNTAX = """  File "/asset/train.py", line 12
    def forward(self x):
                ^^^^^^
SyntaxError: invalid syntax. Perhaps you forgot a comma?"""

NAN = """step 41 loss nan
Traceback (most recent call last):
  File "/task/harness.py", line 140, in step
    raise FloatingPointError("loss is not finite at step 41")
FloatingPointError: loss is not finite at step 41"""

CRASH = """Traceback (most recent call last):
  File "/asset/train.py", line 77, in __init__
    assert WIDTH % HEADS == 0
AssertionError"""


def result(**changes: object) -> ExecResult:
    values: dict[str, object] = {"exit_code": 1, "ended_by": "program", "create_s": 0.3, "wall_s": 1.0, "marked": True}
    return ExecResult(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("log", "reason", "detail"),
    [
        (OUT_OF_GPU_MEMORY, Reason.OUT_OF_MEMORY, "torch.OutOfMemoryError: CUDA out of memory"),
        (OUT_OF_CPU_MEMORY, Reason.OUT_OF_MEMORY, "RuntimeError: [enforce fail"),
        (FULL, Reason.DISK_FULL, "OSError: [Errno 28] No space left on device"),
        (FORKS, Reason.TOO_MANY_PROCESSES, "BlockingIOError: [Errno 11]"),
        (THREADS, Reason.TOO_MANY_PROCESSES, "RuntimeError: can't start new thread"),
        (SYNTAX, Reason.SYNTAX_ERROR, "SyntaxError: invalid syntax"),
        (NAN, Reason.NOT_FINITE, "FloatingPointError: loss is not finite at step 41"),
        (CRASH, Reason.CRASH, "AssertionError"),
        ("no traceback at all", Reason.CRASH, "exit code 1"),
    ],
)
def test_a_log_names_its_failure(log: str, reason: Reason, detail: str) -> None:
    found = failures.name(result(log_tail=log))
    assert found is not None
    assert found[0] is reason
    assert found[1].startswith(detail)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"oom_killed": True, "exit_code": 137, "log_tail": "Killed"}, Reason.OUT_OF_MEMORY),
        ({"oom_killed": True, "exit_code": 0}, Reason.OUT_OF_MEMORY),
        ({"oom_killed": True, "exit_code": None, "ended_by": "deadline"}, Reason.OUT_OF_MEMORY),
        ({"exit_code": None, "ended_by": "deadline", "log_tail": CRASH}, Reason.TIMEOUT),
        ({"exit_code": None, "ended_by": "startup", "marked": False}, Reason.STARTUP_TIMEOUT),
        ({"exit_code": None, "ended_by": "host"}, Reason.INTERRUPTED),
        ({"exit_code": 0}, Reason.NO_ARTIFACT),
        ({"exit_code": 0, "marked": False}, Reason.NO_MARK),
        ({"exit_code": 139}, Reason.CRASH),
        ({"done": True, "refused": "w is not there", "refused_reason": Reason.NO_ARTIFACT}, Reason.NO_ARTIFACT),
    ],
)
def test_fields_name_a_failure_before_the_log_does(changes: dict[str, object], reason: Reason) -> None:
    found = failures.name(result(**changes))
    assert found is not None
    assert found[0] is reason
    assert "\n" not in found[1]


def test_what_is_done_and_taken_worked_whatever_its_log_says() -> None:
    assert failures.name(result(done=True, exit_code=None, log_tail=CRASH)) is None
    assert failures.name(result(done=True, exit_code=None, oom_killed=True)) is None


def test_a_segmentation_fault_is_called_that() -> None:
    assert failures.name(result(exit_code=139)) == (Reason.CRASH, "exit code 139: segmentation fault")
