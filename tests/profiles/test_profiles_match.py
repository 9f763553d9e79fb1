"""Exact or nothing."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.profiles import find_datasheet, from_probe, resolve, store, without_measurement
from appliance.records import Device, Measurement


def _with(device: Device, **changed: Any) -> Device:
    return msgspec.structs.replace(device, **changed)


def test_a_measured_board_is_found_again_by_pci_id_memory_and_power(measurement: Measurement, device: Device, root: Path) -> None:
    store(measurement)
    profile = resolve(device, [root])
    assert profile is not None
    assert profile.peak_flops == measurement.matrix[0].flops
    assert profile.peak_source == "measured bfloat16"
    assert profile.attention_backend == "sdpa_cudnn"
    assert profile.usable_memory_bytes == 149_000_000_000
    assert profile.device_slug == "nvidia-h200"
    renamed = resolve(_with(device, name="NVIDIA H200 143GB"), [root])
    assert renamed is not None
    assert "PCI id" in renamed.notes[0]


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "NVIDIA H200 NVL", "pci_id": "10de:233b:10de:1996"},
        {"memory_total_bytes": 85_520_809_984},
        {"power_limit_w": 300.0},
        {"name": "NVIDIA H200 MIG 1g.18gb", "mig": True, "memory_total_bytes": 18_000_000_000},
        {"name": "GRID H200-141C", "virtual": True},
        {"name": "NVIDIA H2", "pci_id": None},
        {"name": "NVIDIA H200 Laptop GPU", "pci_id": None},
        {"kind": "cpu"},
    ],
)
def test_a_board_that_differs_in_kind_is_measured_anew(
    measurement: Measurement, device: Device, root: Path, changed: dict[str, Any]
) -> None:
    store(measurement)
    assert resolve(_with(device, **changed), [root]) is None


def test_without_a_pci_id_the_exact_name_is_enough(measurement: Measurement, device: Device, root: Path) -> None:
    store(measurement)
    profile = resolve(_with(device, pci_id=None), [root])
    assert profile is not None
    assert "exact name" in profile.notes[0]


def test_of_two_the_newest_on_the_same_driver_major_is_taken_and_it_says_why(raw: dict[str, Any], device: Device, root: Path) -> None:
    for day, driver in ((1, "580.10"), (2, "580.20"), (9, "590.01")):
        store(from_probe({**raw, "measured_at": f"2026-11-0{day}T00:00:00+00:00"}, _with(device, driver=driver), {}))
    profile = resolve(device, [root])
    assert profile is not None
    assert profile.measurement is not None
    assert profile.measurement.measured_at.startswith("2026-11-02")
    assert "chosen from 3 that fit: the newest on driver 580" in profile.notes


def test_another_driver_major_is_used_and_named(measurement: Measurement, device: Device, root: Path) -> None:
    store(measurement)
    profile = resolve(_with(device, driver="590.01"), [root])
    assert profile is not None
    assert "measured on driver 580.95.05, this machine has 590.01" in profile.notes


def test_a_file_that_was_edited_is_left_out_and_named(measurement: Measurement, device: Device, root: Path) -> None:
    path = store(measurement)
    body = json.loads(path.read_text())
    body["matrix"][0]["flops"] *= 2
    path.write_text(json.dumps(body))
    assert resolve(device, [root]) is None


def test_a_cpu_is_its_model_its_cores_and_its_vectors(raw: dict[str, Any], root: Path) -> None:
    cpu = Device(
        kind="cpu",
        index=0,
        name="AMD EPYC",
        slug="amd-epyc-2c",
        cores=2,
        vector_extensions=["avx2", "avx512_bf16"],
        memory_total_bytes=8 << 30,
    )
    store(from_probe({**raw, "usable_memory_bytes": 7 << 30}, cpu, {}))
    profile = resolve(cpu, [root])
    assert profile is not None
    assert profile.usable_memory_bytes == 7 << 30
    assert resolve(_with(cpu, cores=4), [root]) is None
    assert resolve(_with(cpu, vector_extensions=["avx2"]), [root]) is None
    assert resolve(_with(cpu, name="AMD EPYC 9654"), [root]) is None
    smaller = resolve(_with(cpu, memory_total_bytes=4 << 30, memory_usable_bytes=3 << 30), [root])
    assert smaller is not None
    assert smaller.usable_memory_bytes == 3 << 30


def test_an_unknown_board_has_no_numbers(device: Device) -> None:
    profile = without_measurement(_with(device, name="NVIDIA H999", pci_id="10de:ffff:0000:0000"), "no image")
    assert (profile.peak_flops, profile.bandwidth_bytes_per_s, profile.attention_backend) == (None, None, None)
    assert "the peak matrix rate is unknown, so MFU is unknown" in profile.notes


def test_what_was_not_measured_comes_from_the_datasheet_and_says_so(device: Device) -> None:
    profile = without_measurement(device, "no image")
    assert profile.peak_flops == 989.4e12
    assert profile.peak_source is not None
    assert profile.peak_source.startswith("datasheet: ")


@pytest.mark.parametrize(
    ("name", "pci", "memory", "sheet"),
    [
        ("NVIDIA L40S", "10de:26b9", 48e9, "L40S"),
        ("NVIDIA L40", "10de:26b5", 48e9, "L40"),
        ("NVIDIA L4", "10de:27b8", 24e9, "L4"),
        ("NVIDIA RTX A4000", "10de:24b0", 16e9, None),
        ("NVIDIA GeForce RTX 5090 Laptop GPU", "10de:2c18", 24e9, None),
        ("NVIDIA GeForce RTX 3080", "10de:220a", 12.9e9, None),
        ("NVIDIA GeForce RTX 3080", "10de:2206", 10.7e9, "RTX 3080 10GB"),
        ("NVIDIA H100 80GB HBM3", None, 85.5e9, "H100 SXM"),
        ("GRID A100D-40C", "10de:20b5", 42.9e9, None),
    ],
)
def test_sheets_that_other_projects_mix_up_are_told_apart(name: str, pci: str | None, memory: float, sheet: str | None) -> None:
    device = Device(kind="cuda", index=0, name=name, slug="x", pci_id=pci and pci + ":0000:0000", memory_total_bytes=int(memory))
    found = find_datasheet(_with(device, virtual=name.startswith("GRID")))
    assert (found.name if found else None) == sheet


def test_the_profile_hash_names_the_facts_not_the_notes(measurement: Measurement, device: Device, root: Path) -> None:
    store(measurement)
    first = resolve(device, [root])
    (root / "nvidia" / "broken").mkdir()
    (root / "nvidia" / "broken" / "1-x.json").write_text("{")
    second = resolve(device, [root])
    assert first is not None
    assert second is not None
    assert first.sha256 == second.sha256
    assert first.notes != second.notes
