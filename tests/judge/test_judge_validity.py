"""Which runs count: slow and with a cause outside, and never for what a run does to itself."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.judge import causes, disturbance, expected, normal, slow, throughput_limit
from appliance.records import Reason, Telemetry

CALM = [
    Telemetry(cpu_others_share=0.02, cpu_steal_share=0.0, sm_clock_mhz_median=1800, cpu_frequency_mhz_median=3000, events=["sw_power_cap"])
] * 3
NORMAL = normal([100.0, 101.0, 99.0], CALM)
REPEATS = Path(__file__).parents[2] / "bench" / "data" / "gb10_repeats.tsv"


def test_on_599_real_runs_the_detector_finds_the_disturbed_and_keeps_the_calm() -> None:
    steps = [int(line.split("\t")[1]) for line in REPEATS.read_text(encoding="utf-8").splitlines() if line[0].isdigit()]
    assert len(steps) == 599
    flagged = slow(steps, throughput_limit(steps[:8]))
    hits = sum(flag for flag, n in zip(flagged, steps, strict=True) if n < 500)
    false_alarms = sum(flag for flag, n in zip(flagged, steps, strict=True) if n >= 585)
    assert (hits, false_alarms) == (178, 0)


@pytest.mark.parametrize(
    ("telemetry", "reason"),
    [
        (Telemetry(cpu_others_share=0.5), Reason.DISTURBED_CONTENTION),
        (Telemetry(other_processes=1), Reason.DISTURBED_CONTENTION),
        (Telemetry(cpu_steal_share=0.2), Reason.DISTURBED_STEAL),
        (Telemetry(events=["sw_thermal"]), Reason.DISTURBED_THERMAL),
        (Telemetry(events=["hw_thermal", "hw_slowdown"]), Reason.DISTURBED_THERMAL),
        (Telemetry(events=["power_brake"]), Reason.DISTURBED_POWER),
        (Telemetry(sm_clock_mhz_median=1200), Reason.DISTURBED_CLOCK),
        (Telemetry(cpu_frequency_mhz_median=2000), Reason.DISTURBED_CLOCK),
        (Telemetry(suspended_s=60), Reason.DISTURBED_SUSPEND),
    ],
)
def test_a_slow_run_with_a_cause_outside_is_invalid_for_that_cause(telemetry: Telemetry, reason: Reason) -> None:
    assert disturbance(telemetry, 60.0, NORMAL) is reason


def test_a_slow_run_without_a_cause_outside_is_its_own_result() -> None:
    own = Telemetry(cpu_others_share=0.02, cpu_pressure_share=0.9, events=["sw_power_cap"], peak_memory_bytes=10**12)
    assert disturbance(own, 10.0, NORMAL) is None


def test_a_cause_that_did_not_slow_the_run_does_no_harm() -> None:
    assert disturbance(Telemetry(cpu_others_share=0.5), 99.5, NORMAL) is None


def test_a_machine_that_slept_is_disturbed_whatever_the_throughput() -> None:
    assert disturbance(Telemetry(suspended_s=600), 100.0, NORMAL) is Reason.DISTURBED_SUSPEND


def test_without_a_throughput_to_compare_only_a_gross_cause_counts() -> None:
    assert disturbance(Telemetry(cpu_others_share=0.1), None, NORMAL) is None
    assert disturbance(Telemetry(cpu_others_share=0.1), 50.0, None) is None
    assert disturbance(Telemetry(cpu_others_share=0.45), None, None) is Reason.DISTURBED_CONTENTION


def test_an_expectation_from_the_estimate_is_scaled_by_calibration_and_wider() -> None:
    assert NORMAL is not None
    new = expected(estimate=400.0, calibration_estimate=200.0, calibration=NORMAL)
    assert new.throughput == pytest.approx(200.0)
    some, gross = Telemetry(cpu_others_share=0.12), Telemetry(cpu_others_share=0.5)
    assert disturbance(some, 150.0, new) is None
    assert disturbance(some, 130.0, new) is Reason.DISTURBED_CONTENTION
    assert disturbance(gross, 150.0, new) is Reason.DISTURBED_CONTENTION, "the expectation is too rough to say it did no harm"
    assert expected(None, None, NORMAL).throughput is None
    assert causes(Telemetry(cpu_frequency_mhz_median=1500), new) == [], "another configuration may run at another clock"


def test_what_the_normal_runs_show_too_is_no_disturbance() -> None:
    hot = normal([100.0] * 3, [Telemetry(events=["sw_thermal"], cpu_others_share=0.3)] * 3)
    assert disturbance(Telemetry(events=["sw_thermal"], cpu_others_share=0.35), 50.0, hot) is None


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=12), st.sampled_from([0.5, 4.0, 1024.0]))
def test_the_limit_follows_the_unit_and_lies_below_the_median(values: list[float], scale: float) -> None:
    limit = throughput_limit(values)
    assert limit <= sorted(values)[len(values) // 2]
    assert throughput_limit([value * scale for value in values]) == pytest.approx(limit * scale, rel=1e-9, abs=1e-6)
    assert throughput_limit(values[::-1]) == limit


def test_few_runs_of_a_noisy_hour_do_not_make_half_the_throughput_normal() -> None:
    own = normal([37456.0, 31498.0], [Telemetry(), Telemetry()])
    assert disturbance(Telemetry(cpu_others_share=0.5), 20312.0, own) is Reason.DISTURBED_CONTENTION
    assert disturbance(Telemetry(cpu_others_share=0.5), 31000.0, own) is None
