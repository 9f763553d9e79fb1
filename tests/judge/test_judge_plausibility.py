"""When a run is not to be believed, and that an honest one always is, however fast and however little is known of its machine."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import tasks
from appliance.judge import Doubt, doubts
from appliance.records import Datasheet, MatrixRate, Measurement, Profile, Score, Sourced, Task

TRAINER = tasks.load("trainer").task
BUDGET_S = 300.0
FLOPS = 9e14
WORK = {"forward_flops_per_token": 1e8}
FULL_TILT = FLOPS / 3e8
"""Tokens per second of a run that trains at the whole of the measured rate: three times the forward products."""


def profile(flops: float | None = FLOPS, launch_s: float | None = 5e-6, **values: float) -> Profile:
    measurement = Measurement(
        benchmark_version="1",
        measured_at="2026-01-01T00:00:00Z",
        mode="quick",
        device={},
        environment={},
        matrix=[MatrixRate(dtype="bfloat16", flops=flops, shape=(1, 1, 1))] if flops else [],
        launch_overhead_s=launch_s,
    )
    sheet = Datasheet(vendor="v", name="n", values={name: Sourced(value=value, unit="FLOP/s") for name, value in values.items()})
    return Profile(
        device_slug="d", device_kind="cuda", name="d", sha256="0" * 64, peak_flops=flops, measurement=measurement, datasheet=sheet
    )


def found(
    claims: dict[str, float],
    *,
    of: Profile | None = None,
    task: Task = TRAINER,
    budget_s: float | None = BUDGET_S,
    curve: list[tuple[float, float, float]] | None = None,
    score: float = 1.5,
) -> list[str]:
    return [doubt.name for doubt in doubts(task, of or profile(), budget_s, claims, curve or [], [Score(split="val", score=score)])]


def claims_of(rate: float, seconds: float = BUDGET_S, steps: float = 1000) -> dict[str, float]:
    return {**WORK, "tokens_per_s": rate, "tokens": rate * seconds, "steps": steps, "train_s": seconds}


def test_a_run_at_the_whole_measured_rate_is_believed() -> None:
    assert found(claims_of(FULL_TILT), curve=[(0.0, 1, 5.0), (BUDGET_S, 1000, 1.0)]) == []


def test_an_honest_run_is_believed_though_its_machine_was_measured_when_it_was_busy() -> None:
    """One of our own CPUs was once measured at 4.5e10 FLOP/s beside other work, and at 3.9e11 without; a run reached 45 % of the latter."""
    busy = profile(4.48e10)
    assert found({**claims_of(0.45 * 3.94e11 / 3e8)}, of=busy) == []


def test_what_the_device_could_not_compute_is_suspicious_whichever_way_it_is_claimed() -> None:
    assert found({**WORK, "tokens_per_s": 20 * FULL_TILT}) == ["throughput_beyond_roofline"]
    assert found({**WORK, "tokens": 20 * FULL_TILT * BUDGET_S}) == ["tokens_beyond_roofline"]


def test_a_faster_type_of_number_on_the_datasheet_is_room() -> None:
    fast = {**WORK, "tokens_per_s": 20 * FULL_TILT}
    assert found(fast, of=profile(fp4_flops=4 * FLOPS)) == []
    assert found(fast, of=profile(bandwidth_bytes_per_s=1e20)) == ["throughput_beyond_roofline"]


def test_steps_and_seconds_that_do_not_fit_the_clock_are_suspicious() -> None:
    assert found({"steps": 1e9}) == ["steps_beyond_clock"]
    assert found({"train_s": 2 * BUDGET_S}) == ["training_beyond_clock"]
    assert found({}, curve=[(1.0, 1, 3.0), (400.0, 2, 2.0)]) == ["curve_beyond_clock"]


def test_the_seconds_between_the_grant_and_the_end_of_the_finish_are_everybodys() -> None:
    late = BUDGET_S + TRAINER.clock.finish_cap_s
    assert found({"train_s": late}, curve=[(late, 1, 2.0)]) == []


@pytest.mark.parametrize(("direction", "score", "suspicious"), [("lower", 0.5, True), ("lower", 0.7, False), ("higher", 0.7, True)])
def test_a_score_beyond_the_floor_is_suspicious(direction: str, score: float, suspicious: bool) -> None:
    task = msgspec.structs.replace(TRAINER, metric=msgspec.structs.replace(TRAINER.metric, direction=direction))
    assert (found({}, task=task, score=score) == ["score_beyond_floor"]) is suspicious


def test_the_reason_says_what_was_claimed_and_what_is_possible() -> None:
    (doubt,) = doubts(TRAINER, profile(), BUDGET_S, {"steps": 1e9}, [], [])
    assert doubt == Doubt(name="steps_beyond_clock", detail="steps is 1e+09, at most 6.03e+07 (1 × launches_per_s × clock_s) is possible")


@given(st.dictionaries(st.sampled_from(sorted(TRAINER.observables)), st.floats(allow_nan=True)), st.booleans())
def test_on_a_machine_of_which_nothing_is_known_no_claim_is_suspicious(claims: dict[str, float], no_profile: bool) -> None:
    unknown = profile(None, None) if no_profile else profile()
    names = found(claims, of=unknown, budget_s=None)
    assert names == [] if no_profile else set(names) <= {"throughput_beyond_roofline"}


@given(
    share=st.floats(0, 1),
    seconds=st.floats(0.1, BUDGET_S),
    work=st.floats(1e3, 1e12),
    flops=st.floats(1e9, 1e16),
    step_operations=st.integers(1, 10_000),
)
def test_no_run_that_the_device_can_do_is_suspicious(share: float, seconds: float, work: float, flops: float, step_operations: int) -> None:
    rate = share * flops / (3 * work)
    claims = {
        "forward_flops_per_token": work,
        "tokens_per_s": rate,
        "tokens": rate * seconds,
        "train_s": seconds,
        "steps": seconds / (step_operations * 5e-6),
    }
    assert found(claims, of=profile(flops), curve=[(seconds, claims["steps"], 1.0)]) == []


@given(factor=st.floats(12.1, 1e9))
def test_more_is_never_less_suspicious(factor: float) -> None:
    assert "throughput_beyond_roofline" in found({**WORK, "tokens_per_s": factor * FULL_TILT})
