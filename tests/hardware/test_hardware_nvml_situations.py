"""Every kind of board and every kind of trouble, through the real binding."""

from collections.abc import Callable
from typing import Any

import pytest

Survey = Callable[..., dict[str, Any]]


def _only(found: dict[str, Any]) -> dict[str, Any]:
    assert len(found["devices"]) == 1
    return found["devices"][0]


def test_an_h100_tells_everything(survey: Survey) -> None:
    device = _only(survey("h100"))
    assert device["name"] == "NVIDIA H100 80GB HBM3"
    assert device["slug"] == "nvidia-h100-80gb-hbm3"
    assert device["pci_id"] == "10de:2330:10de:16c1"
    assert device["compute_capability"] == "9.0"
    assert device["sm_count"] == 132
    assert device["memory_total_bytes"] == 85520809984
    assert device["memory_usable_bytes"] == 85000000000
    assert device["ecc"] is True
    assert device["mig"] is False
    assert device["power_limit_w"] == 700
    assert device["cuda"] == "13.0"
    assert device["driver"] == "580.95.05"
    assert device["processes"] == []
    assert device["refused"] == {}


def test_an_h200_is_not_an_h100(survey: Survey) -> None:
    device = _only(survey("h200"))
    assert (device["name"], device["pci_id"], device["memory_total_bytes"]) == ("NVIDIA H200", "10de:2335:10de:18be", 150754820096)


@pytest.mark.parametrize("situation", ["gb10", "gb10_wrong_memory"])
def test_a_gb10_has_the_memory_of_its_host_whatever_nvml_says(survey: Survey, situation: str) -> None:
    device = _only(survey(situation))
    assert device["memory_unified"] is True
    assert device["memory_total_bytes"] > 1 << 30
    assert 0 < device["memory_usable_bytes"] <= device["memory_total_bytes"]
    assert "host" in device["refused"]["memory"]
    assert device["sm_count"] in (48, None)
    assert device["power_limit_w"] is None


def test_mig_slices_are_the_devices_and_their_board_is_not(survey: Survey) -> None:
    found = survey("mig")
    names = [device["name"] for device in found["devices"]]
    assert names == ["NVIDIA H100 80GB HBM3 MIG 3g.40gb", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"]
    large, small = found["devices"]
    assert (large["sm_count"], large["memory_total_bytes"]) == (60, 42278584320)
    assert all(device["mig"] and device["uuid"].startswith("MIG-") for device in found["devices"])
    assert [device["index"] for device in found["devices"]] == [0, 1]
    assert small["processes"] == [77]
    assert found["chosen"] == large["name"]


def test_mig_without_an_instance_is_a_problem_with_its_mend(survey: Survey) -> None:
    found = survey("mig_empty")
    assert found["devices"] == []
    assert found["problems"][0]["name"] == "mig_empty"
    assert "nvidia-smi -i 0 -mig 0" in found["problems"][0]["text"]


def test_a_thor_tells_its_name_and_little_more(survey: Survey) -> None:
    device = _only(survey("thor"))
    assert device["memory_unified"] is True
    assert device["memory_total_bytes"] > 1 << 30
    assert device["uuid"] is None
    assert device["refused"]["uuid"] == "not supported by this device"
    assert device["utilization"] == 0.03


def test_a_lost_gpu_is_a_problem_and_the_other_is_used(survey: Survey) -> None:
    found = survey("lost")
    assert _only(found)["uuid"].startswith("GPU-8888")
    assert found["problems"][0]["name"] == "gpu_lost"
    assert found["problems"][0]["text"].startswith("GPU 0 is lost")


def test_a_gpu_lost_while_it_is_read_never_looks_like_unified_memory(survey: Survey) -> None:
    found = survey("lost_while_read")
    assert found["devices"] == []
    assert found["problems"][0]["name"] == "gpu_lost"


def test_an_unknown_board_that_hides_its_memory_is_not_taken_for_unified(survey: Survey) -> None:
    device = _only(survey("unknown_without_memory"))
    assert device["memory_unified"] is False
    assert device["memory_total_bytes"] is None
    assert device["refused"]["memory_total_bytes"] == "not supported by this device"
    assert device["sm_count"] is None
    assert "13.0" in device["refused"]["sm_count"]


def test_an_old_driver_leaves_nulls_with_the_reason(survey: Survey) -> None:
    device = _only(survey("old_driver", "OLD_DRIVER"))
    assert device["cuda"] == "11.0"
    assert device["sm_count"] is None
    assert device["processes"] is None
    assert device["refused"]["processes"] == "this driver is too old to tell"
    assert "cuda" not in device["refused"]


def test_a_library_without_an_initialiser_is_a_problem(survey: Survey) -> None:
    found = survey("h100", "NO_INIT")
    assert found["devices"] == []
    assert found["problems"][0]["name"] == "driver_too_old"


def test_library_and_kernel_module_that_differ_ask_for_a_reboot(survey: Survey) -> None:
    found = survey("mismatch")
    assert found["problems"][0]["name"] == "driver_mismatch"
    assert "reboot" in found["problems"][0]["text"]


def test_a_module_that_is_not_loaded_says_how_to_load_it(survey: Survey) -> None:
    assert "modprobe nvidia" in survey("not_loaded")["problems"][0]["text"]


def test_no_driver_is_no_problem_and_the_cpu_is_chosen(survey: Survey) -> None:
    found = survey(None)
    assert (found["devices"], found["problems"]) == ([], [])
    assert found["chosen"]


def test_a_laptop_board_is_marked(survey: Survey) -> None:
    assert _only(survey("laptop"))["laptop"] is True


def test_a_vgpu_is_marked_and_its_processes_are_unknown(survey: Survey) -> None:
    device = _only(survey("vgpu"))
    assert device["virtual"] is True
    assert device["processes"] is None


def test_of_several_the_idle_one_with_most_memory_is_chosen(survey: Survey) -> None:
    assert survey("several")["chosen"] == "NVIDIA GeForce RTX 3090"


MONITOR = """
import json, os, time, msgspec
from appliance import hardware
device = [d for d in hardware.detect() if d.kind == "cuda"][0]
with hardware.Monitor(device, os.getpid(), interval_s=0.05) as monitor:
    time.sleep(0.2)
print(json.dumps({"telemetry": msgspec.to_builtins(monitor.stop()), "history": monitor.history}))
"""


def test_the_monitor_names_what_holds_a_throttled_board_back(under_nvml: Callable[..., Any]) -> None:
    told = under_nvml("throttled", MONITOR)["telemetry"]
    assert told["events"] == ["hw_slowdown", "hw_thermal", "sw_power_cap", "sw_thermal"]
    assert told["sm_clock_mhz_median"] == 900
    assert told["power_w_mean"] == 440
    assert told["temperature_c_max"] == 89
    assert told["other_processes"] == 1
    assert told["energy_j"] == 0


def test_the_monitor_reads_events_under_their_old_name(under_nvml: Callable[..., Any]) -> None:
    assert under_nvml("old_driver", MONITOR, "OLD_DRIVER")["telemetry"]["events"] == ["sw_thermal"]


def test_the_monitor_of_a_slice_reads_its_boards_power(under_nvml: Callable[..., Any]) -> None:
    told = under_nvml("mig", MONITOR)["telemetry"]
    assert told["power_w_mean"] == 90
    assert told["other_processes"] == 0


def test_an_idle_board_has_no_events(under_nvml: Callable[..., Any]) -> None:
    assert under_nvml("h200", MONITOR)["telemetry"]["events"] == []
