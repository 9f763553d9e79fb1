"""A phase that dies names itself and spoils nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

RUN = """
import os, signal, time, children
def serve(phase, request):
    if phase == "fine":
        print("a line for people")
        children.answer({"got": request["x"]})
    elif phase == "aborts":
        children.answer({"n": 1})
        os.kill(os.getpid(), signal.SIGSEGV)
    elif phase == "raises":
        raise ValueError("the kernel of sm_999 is missing")
    elif phase == "exits":
        raise SystemExit("no GPU can be used here")
    elif phase == "hangs":
        time.sleep(60)
lines, answers, reason = [], [], None
try:
    for answer in children.stream(serve, PHASE, {"x": 7}, lines.append, 1.0):
        answers.append(answer)
except children.DiedError as error:
    reason = str(error)
print(json.dumps({"lines": lines, "answers": answers, "reason": reason}))
"""


@pytest.mark.parametrize(
    ("phase", "answers", "reason"),
    [
        ("fine", [{"got": 7}], None),
        ("aborts", [{"n": 1}], "the process died of SIGSEGV"),
        ("raises", [], "ValueError: the kernel of sm_999 is missing"),
        ("exits", [], "no GPU can be used here"),
        ("hangs", [], "no answer within 1 s"),
        ("silent", [], "the process ended with code 0"),
    ],
)
def test_a_phase_ends_in_answers_or_a_reason(script: Callable[[str], Any], phase: str, answers: list[Any], reason: str | None) -> None:
    told = script(RUN.replace("PHASE", repr(phase)))
    assert told["answers"] == answers
    assert told["reason"] == reason
    assert told["lines"] == (["  a line for people"] if phase == "fine" else [])


def test_a_backend_whose_package_is_absent_is_rejected_without_being_run(script: Callable[[str], Any]) -> None:
    code = """
import attention_plan
def serve(phase, request):
    raise AssertionError("was run")
common = {"device": "cpu", "mode": "quick", "dtype": "bfloat16"}
print(json.dumps(attention_plan.judge(serve, "flash_attn_3", common, lambda text: None)))
"""
    rows = script(code)
    assert rows
    assert {row["reason"] for row in rows} == {"package flash_attn_interface is not in the image"}
    assert not any(row["accepted"] for row in rows)


def test_a_backend_that_dies_in_one_case_is_tried_again_at_the_next(script: Callable[[str], Any]) -> None:
    code = """
import os, signal, children, attention_plan
def serve(phase, request):
    for case in request["cases"]:
        if case["window"] is None:
            os.kill(os.getpid(), signal.SIGABRT)
        children.answer({"head_dim": case["head_dim"], "window": case["window"], "accepted": True})
common = {"device": "cpu", "mode": "quick", "dtype": "bfloat16"}
print(json.dumps(attention_plan.judge(serve, "sdpa_math", common, lambda text: None)))
"""
    rows = script(code)
    assert [(row["head_dim"], row["window"] is None, row["accepted"]) for row in rows] == [
        (64, True, False),
        (64, False, True),
        (128, True, False),
        (128, False, True),
    ]
    assert rows[0]["reason"] == "the process died of SIGABRT"
