"""From what the probe wrote to a measurement: drops disturbed samples, computes the aggregates, takes out what identifies a machine.

The probe runs in a sandbox that may have no NVML; it stamps every sample with CLOCK_MONOTONIC, which host and container share. So the
host's telemetry can say afterwards which samples fell into a thermal or hardware slow-down.
"""

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from appliance.errors import ApplianceError
from appliance.profiles.canonical import canonical_sha256, plain
from appliance.profiles.statistics import attention_winners, bandwidth, mamf_flops, matrix_flops
from appliance.records import AttentionResult, Device, MatrixRate, Measurement

BENCHMARK_VERSION = "2"
"""Of the probe whose results compare with each other. Another version's are left out."""

DISTURBING = frozenset({"hw_slowdown", "sw_thermal", "hw_thermal", "power_brake", "lost"})
"""Events whose samples are dropped. The software power cap is a good GPU's normal state and stays."""

NOT_SHARED = ("uuid", "processes", "index", "utilization", "temperature_c", "memory_usable_bytes")
"""Fields of a device that name one machine or one moment."""

_TELEMETRY_FIELDS = ("t", "clock", "power_w", "temperature_c", "energy_j", "events", "others")
_MAX_TELEMETRY = 2000
_MIN_SAMPLES = 3


def from_probe(
    raw: Mapping[str, Any],
    device: Device,
    environment: Mapping[str, str | None],
    *,
    telemetry: Sequence[Mapping[str, Any]] = (),
    container_startup_s: float | None = None,
    shared_device: bool = False,
) -> Measurement:
    """A measurement, with its hash.

    `raw` is the probe's `measurement.json`; `environment` is what the host knows (image_digest, isolation) and wins over the probe's own;
    `telemetry` is `Monitor.history`; `shared_device` says that others used the device meanwhile.

    Raises:
        ApplianceError: the probe's file lacks what a measurement needs, or is of another version.
    """
    try:
        return _measurement(raw, device, environment, telemetry, container_startup_s, shared_device)
    except (KeyError, TypeError, ValueError, IndexError, msgspec.ValidationError) as error:
        raise ApplianceError(f"the probe's measurement.json cannot be used ({type(error).__name__}: {error}); run it again.") from error


def _measurement(
    raw: Mapping[str, Any],
    device: Device,
    environment: Mapping[str, str | None],
    telemetry: Sequence[Mapping[str, Any]],
    container_startup_s: float | None,
    shared_device: bool,
) -> Measurement:
    if raw["benchmark_version"] != BENCHMARK_VERSION:
        raise ValueError(f"benchmark_version {raw['benchmark_version']!r}, expected {BENCHMARK_VERSION!r}")
    bad = _Bad(telemetry)
    notes = [str(note) for note in raw.get("notes", [])]
    matrix, matrix_dropped = _matrix(raw["matrix"], bad, notes)
    samples, bandwidth_dropped = _bandwidth(raw["bandwidth"], bad, notes)
    moved = {kind: bandwidth(raw["bandwidth"][kind]["bytes"], kept) for kind, kept in samples.items()}
    dropped = {"matrix": matrix_dropped, "bandwidth": bandwidth_dropped}
    attention = [msgspec.convert(item, AttentionResult) for item in raw["attention"]]
    mamf = raw.get("mamf_v2")
    mamf_shape = _shape(mamf["shape"]) if mamf else None
    mamf_samples = [float(seconds) for _, seconds, _ in mamf["samples"]] if mamf else []
    if device.memory_unified or device.kind == "cpu":
        notes.append("usable memory is what the host has available: this device shares its memory")
    body: dict[str, Any] = plain(
        Measurement(
            benchmark_version=raw["benchmark_version"],
            measured_at=raw["measured_at"],
            mode=raw["mode"],
            device=public_device(device),
            environment={**{key: _text(value) for key, value in raw["environment"].items()}, "driver": device.driver, **environment},
            matrix=matrix,
            mamf_v2_flops=mamf_flops(mamf_shape, mamf_samples) if mamf_shape else None,
            mamf_v2_shape=mamf_shape,
            mamf_v2_samples_s=mamf_samples,
            copy_bytes_per_s=moved.get("copy"),
            triad_bytes_per_s=moved.get("triad"),
            bandwidth_samples_s=samples,
            bandwidth_bytes={kind: int(raw["bandwidth"][kind]["bytes"]) for kind in samples},
            host_to_device_bytes_per_s=moved.get("host_to_device"),
            device_to_host_bytes_per_s=moved.get("device_to_host"),
            usable_memory_bytes=raw.get("usable_memory_bytes"),
            attention=attention,
            attention_winners=attention_winners(attention),
            launch_overhead_s=raw.get("launch_overhead_s"),
            container_startup_s=container_startup_s,
            dropped_samples={kind: count for kind, count in dropped.items() if count},
            notes=notes,
            shared_device=shared_device or bool(raw.get("disturbed")) or bad.others,
            telemetry=_relative(telemetry),
            seconds=raw.get("seconds"),
        )
    )
    body["sha256"] = canonical_sha256(body)
    return msgspec.convert(body, Measurement)


def _matrix(items: Sequence[Mapping[str, Any]], bad: "_Bad", notes: list[str]) -> tuple[list[MatrixRate], int]:
    """The rates with enough undisturbed samples, and how many samples were dropped; what is left out is noted."""
    rates, dropped = [], 0
    for item in items:
        kept, lost = bad.keep(item["samples"])
        dropped += lost
        if len(kept) < _MIN_SAMPLES:
            notes.append(f"matrix {item['dtype']}: only {len(kept)} undisturbed samples of {len(item['samples'])}: left out")
            continue
        shape = _shape(item["shape"])
        rates.append(
            MatrixRate(
                dtype=item["dtype"],
                flops=matrix_flops(shape, kept),
                shape=shape,
                sustained_flops=item.get("sustained_flops"),
                samples_s=kept,
                throttled_samples=lost,
            )
        )
    return rates, dropped


def _bandwidth(items: Mapping[str, Mapping[str, Any]], bad: "_Bad", notes: list[str]) -> tuple[dict[str, list[float]], int]:
    """Kind → its undisturbed samples, in seconds, and how many were dropped; what is left out is noted."""
    samples: dict[str, list[float]] = {}
    dropped = 0
    for kind, item in items.items():
        kept, lost = bad.keep(item["samples"])
        dropped += lost
        if not item["verified"]:
            notes.append(f"bandwidth {kind}: the copied data were wrong: left out")
        elif len(kept) < _MIN_SAMPLES:
            notes.append(f"bandwidth {kind}: only {len(kept)} undisturbed samples of {len(item['samples'])}: left out")
        else:
            samples[kind] = kept
    return samples, dropped


def _shape(of: Sequence[Any]) -> tuple[int, int, int]:
    rows, inner, columns = of
    return int(rows), int(inner), int(columns)


def public_device(device: Device) -> dict[str, Any]:
    """A device without what names this one machine or this one moment."""
    return {key: value for key, value in plain(device).items() if key not in NOT_SHARED}


class _Bad:
    """Which moments the telemetry calls disturbed."""

    def __init__(self, telemetry: Sequence[Mapping[str, Any]]) -> None:
        self._times = [float(row["t"]) for row in telemetry]
        self._bad = [bool(DISTURBING & set(row.get("events") or ())) for row in telemetry]
        self.others = any((row.get("others") or 0) > 0 for row in telemetry)

    def keep(self, samples: Sequence[Sequence[Any]]) -> tuple[list[float], int]:
        """Seconds of the undisturbed samples, and how many were dropped. A sample is (start by CLOCK_MONOTONIC, seconds, undisturbed)."""
        kept = [float(seconds) for start, seconds, fine in samples if fine and not self._disturbed(start, start + seconds)]
        return kept, len(samples) - len(kept)

    def _disturbed(self, start: float, end: float) -> bool:
        """True when a reading within the sample, or the nearest one on either side, carries a disturbing event."""
        first = max(0, bisect.bisect_left(self._times, start) - 1)
        last = bisect.bisect_right(self._times, end) + 1
        return any(self._bad[first:last])


def _relative(telemetry: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Times from the first reading on: the machine's uptime is nobody's business. Thinned where very long."""
    step = len(telemetry) // _MAX_TELEMETRY + 1
    start = float(telemetry[0]["t"]) if telemetry else 0.0
    rows = [{key: row[key] for key in _TELEMETRY_FIELDS if row.get(key) is not None} for row in telemetry[::step]]
    return [{**row, "t": round(float(row["t"]) - start, 3)} for row in rows if len(row) > 1]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
