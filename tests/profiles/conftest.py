"""A measurement made from a probe's raw numbers, of a board that does not exist, and a folder of profiles of its own."""

from pathlib import Path
from typing import Any

import pytest

from appliance.profiles import from_probe
from appliance.records import Device, Measurement


@pytest.fixture
def device() -> Device:
    """A board like an H200."""
    return Device(
        kind="cuda",
        index=3,
        name="NVIDIA H200",
        slug="nvidia-h200",
        uuid="GPU-secret",
        pci_id="10de:2335:10de:18be",
        memory_total_bytes=150_754_820_096,
        memory_usable_bytes=150_000_000_000,
        mig=False,
        virtual=False,
        power_limit_w=700.0,
        power_default_w=700.0,
        driver="580.95.05",
        cuda="13.0",
        processes=[42],
    )


@pytest.fixture
def raw() -> dict[str, Any]:
    """What the probe writes."""
    shape = [8192, 8192, 8192]
    at_750 = 2 * 8192**3 / 750e12
    return {
        "benchmark_version": "2",
        "measured_at": "2026-11-23T10:00:00+00:00",
        "mode": "full",
        "seconds": 200.0,
        "environment": {"torch": "2.13.0+cu130", "cuda": "13.0", "cudnn": "91600", "python": "3.12.3", "kind": "cuda"},
        "matrix": [
            {"dtype": "bfloat16", "shape": shape, "samples": [[100.0 + i, at_750, True] for i in range(12)], "sustained_flops": 700e12},
            {
                "dtype": "float8_e4m3",
                "shape": shape,
                "samples": [[120.0 + i, at_750 / 2, True] for i in range(12)],
                "sustained_flops": None,
            },
        ],
        "mamf_v2": {"shape": shape, "samples": [[90.0, at_750, True]] * 100},
        "bandwidth": {
            "copy": {"bytes": 1 << 30, "samples": [[140.0 + i, (1 << 30) / 4.2e12, True] for i in range(10)], "verified": True},
            "triad": {"bytes": 3 << 29, "samples": [[150.0 + i, (3 << 29) / 4.1e12, True] for i in range(10)], "verified": True},
        },
        "usable_memory_bytes": 149_000_000_000,
        "launch_overhead_s": 3e-6,
        "attention": [
            _attention("sdpa_flash", 64, None, 1.00e-3),
            _attention("sdpa_cudnn", 64, None, 0.99e-3),
            _attention("sdpa_math", 64, None, 9e-3),
            {**_attention("sdpa_efficient", 64, None, None), "accepted": False, "reason": "plain: output is not finite"},
            _attention("flex_attention", 64, 512, 0.5e-3),
        ],
        "disturbed": False,
        "notes": [],
    }


def _attention(backend: str, head_dim: int, window: int | None, seconds: float | None) -> dict[str, Any]:
    row = {"backend": backend, "head_dim": head_dim, "window": window, "dtype": "bfloat16", "accepted": True, "reason": None}
    return {**row, "forward_s": seconds, "backward_s": None if seconds is None else 2 * seconds}


@pytest.fixture
def measurement(raw: dict[str, Any], device: Device) -> Measurement:
    """The measurement of `raw`."""
    return from_probe(raw, device, {"image_digest": "sha256:" + "0" * 64, "isolation": "docker"}, container_startup_s=0.4)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `store` writes, and nothing else."""
    monkeypatch.setenv("APPLIANCE_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "profiles"
