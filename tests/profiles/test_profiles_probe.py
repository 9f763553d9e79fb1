"""From raw numbers to a measurement."""

import math
from typing import Any

import pytest

from appliance.errors import ApplianceError
from appliance.profiles import canonical_sha256, from_probe, store
from appliance.records import Device, Measurement


def test_rates_are_the_median_of_the_raw_samples(measurement: Measurement) -> None:
    rates = {rate.dtype: rate.flops for rate in measurement.matrix}
    assert math.isclose(rates["bfloat16"], 750e12)
    assert math.isclose(rates["float8_e4m3"], 1500e12)
    assert measurement.copy_bytes_per_s is not None
    assert math.isclose(measurement.copy_bytes_per_s, 4.2e12)
    assert measurement.mamf_v2_flops is not None
    assert measurement.container_startup_s == 0.4


def test_what_names_a_machine_is_not_in_it(measurement: Measurement) -> None:
    assert not {"uuid", "processes", "index"} & set(measurement.device)
    assert "GPU-secret" not in str(measurement)


def test_ties_are_said(measurement: Measurement) -> None:
    plain, windowed = measurement.attention_winners
    assert plain == {"head_dim": 64, "window": None, "backend": "sdpa_cudnn", "tied": ["sdpa_flash"]}
    assert windowed["backend"] == "flex_attention"


def test_samples_in_a_thermal_slowdown_are_dropped_and_counted(raw: dict[str, Any], device: Device) -> None:
    telemetry = [{"t": 99.0 + i / 2, "events": ["sw_thermal"] if 8 <= i <= 9 else ["sw_power_cap"], "clock": 1500} for i in range(40)]
    rate = from_probe(raw, device, {}, telemetry=telemetry).matrix[0]
    assert rate.throttled_samples > 0
    assert len(rate.samples_s) + rate.throttled_samples == 12


def test_the_software_power_cap_drops_nothing(raw: dict[str, Any], device: Device) -> None:
    telemetry = [{"t": 90.0 + i / 2, "events": ["sw_power_cap"]} for i in range(200)]
    assert from_probe(raw, device, {}, telemetry=telemetry).dropped_samples == {}


def test_another_process_on_the_board_marks_the_result(raw: dict[str, Any], device: Device) -> None:
    assert from_probe(raw, device, {}, telemetry=[{"t": 100.0, "events": [], "others": 1}]).shared_device
    assert from_probe({**raw, "disturbed": True}, device, {}).shared_device


def test_a_copy_that_did_not_happen_has_no_bandwidth(raw: dict[str, Any], device: Device) -> None:
    raw["bandwidth"]["copy"]["verified"] = False
    made = from_probe(raw, device, {})
    assert made.copy_bytes_per_s is None
    assert any("wrong" in note for note in made.notes)


def test_a_rate_with_too_few_undisturbed_samples_is_left_out_with_a_note(raw: dict[str, Any], device: Device) -> None:
    raw["matrix"][0]["samples"] = [[100.0, 1.0, i == 0] for i in range(10)]
    made = from_probe(raw, device, {})
    assert [rate.dtype for rate in made.matrix] == ["float8_e4m3"]
    assert any("bfloat16" in note for note in made.notes)


@pytest.mark.parametrize("key", ["matrix", "bandwidth", "attention", "measured_at"])
def test_a_probe_that_left_something_out_is_refused(raw: dict[str, Any], device: Device, key: str) -> None:
    del raw[key]
    with pytest.raises(ApplianceError, match=key):
        from_probe(raw, device, {})


def test_a_probe_of_another_version_is_refused(raw: dict[str, Any], device: Device) -> None:
    with pytest.raises(ApplianceError, match="benchmark_version"):
        from_probe({**raw, "benchmark_version": "0"}, device, {})


def test_the_probe_and_the_package_are_of_one_benchmark_version() -> None:
    from appliance import paths
    from appliance.profiles import BENCHMARK_VERSION

    assert f'\nBENCHMARK_VERSION = "{BENCHMARK_VERSION}"\n' in (paths.share("probe") / "__main__.py").read_text()


def test_the_hash_is_of_the_content_without_itself(measurement: Measurement, root: Any) -> None:
    assert measurement.sha256 == canonical_sha256(measurement)
    path = store(measurement)
    assert path.name == f"2-2026-11-23-{measurement.sha256[:8]}.json"
    assert path.parent.name == "10de-2335-nvidia-h200"
    assert path.parent.parent.name == "nvidia"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
