"""Bandwidth where the host moves the cores while it is measured."""

from collections.abc import Callable
from typing import Any

import pytest

VISITS = """
import children, visits
def made():
    for number, (seconds, right) in enumerate([(1, True), (2, RIGHT), (1, True)]):
        copy = {"bytes": 60, "samples": [[0, 3, True], [3, seconds, True]], "verified": right}
        yield {"bandwidth": {"copy": copy}, "notes": ["n"], "disturbed": False, "usable_memory_bytes": number}
answers = made()
children.one = lambda *given, **named: next(answers)
visits.APART_S["quick"] = APART
memory = visits.Visits(None, {"device": DEVICE, "mode": "quick"}, lambda text: None)
for _ in range(3):
    memory.visit()
print(json.dumps(memory.result()))
"""


@pytest.fixture
def result(script: Callable[[str], Any]) -> Callable[..., Any]:
    def run(*, device: str = "cpu", apart: float = 0.0, right: bool = True) -> Any:
        return script(f"DEVICE, APART, RIGHT = {device!r}, {apart}, {right}\n{VISITS}")

    return run


def test_the_visit_that_found_least_is_kept_and_the_range_is_told(result: Callable[..., Any]) -> None:
    found = result()
    assert found["bandwidth"]["copy"] == {"bytes": 60, "samples": [[0, 3, True], [3, 2, True]], "verified": True}
    assert found["notes"] == ["n", "bandwidth copy: 3e-08 to 6e-08 GB/s in 3 visits"]
    assert found["usable_memory_bytes"] == 2


def test_data_that_were_wrong_in_one_visit_are_wrong(result: Callable[..., Any]) -> None:
    assert not result(right=False)["bandwidth"]["copy"]["verified"]


@pytest.mark.parametrize("more", [{"device": "cuda"}, {"apart": 60.0}])
def test_a_gpu_is_visited_once_and_a_cpu_not_at_once_again(result: Callable[..., Any], more: dict[str, Any]) -> None:
    found = result(**more)
    assert (found["usable_memory_bytes"], found["notes"]) == (0, ["n"])
