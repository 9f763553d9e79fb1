"""Can this measurement be believed and shared? Schema, hash, aggregates from raw samples, plausibility, agreement with others."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from appliance.errors import UsageError
from appliance.profiles.canonical import canonical_sha256
from appliance.profiles.files import datasheet_files, measurement_files, own_root, read_datasheet, read_measurement, roots
from appliance.profiles.match import measured_on_such, sheet_of
from appliance.profiles.probed import BENCHMARK_VERSION, NOT_SHARED
from appliance.profiles.statistics import attention_winners, bandwidth, mamf_flops, matrix_flops
from appliance.records import Datasheet, Device, Measurement, Record

PLAUSIBLE = (0.4, 1.02)
"""Measured over datasheet. Outside, one of the two is of another board, another precision, or sparse."""

OUTLIER = 0.15
"""A rate further than this from the median of other submissions of the kind is named."""

_LIMITS = {"FLOP/s": (1e6, 1e17), "B/s": (1e6, 1e14), "B": (1 << 20, 1 << 50), "s": (1e-9, 1e4)}
"""No device is outside these. A value that is, is in another unit (GFLOP/s, GB/s, ms) or made up."""

_SHEET_DTYPES = {"bfloat16": "bf16_flops", "float16": "fp16_flops", "float8_e4m3": "fp8_flops"}


class Finding(Record, frozen=True, kw_only=True):
    """One thing wrong with a measurement."""

    severity: Literal["error", "warning"]
    """An error refuses import and export; a warning is told."""
    field: str
    text: str


def verify_file(path: Path, folders: Sequence[Path] | None = None) -> list[Finding]:
    """Everything wrong with a measurement file, read errors included. Empty: it can be shared."""
    try:
        measurement = read_measurement(path)
    except UsageError as error:
        return [Finding(severity="error", field="file", text=str(error))]
    findings = verify(measurement, folders)
    named = f"{measurement.benchmark_version}-{measurement.measured_at[:10]}-{(measurement.sha256 or '')[:8]}.json"
    if path.name != named:
        findings.append(Finding(severity="warning", field="file", text=f"{path.name}: a file with this content is named {named}"))
    return findings


def verify(measurement: Measurement, folders: Sequence[Path] | None = None) -> list[Finding]:
    """Everything wrong with a measurement, except its file."""
    findings = [*_content(measurement), *_aggregates(measurement), *_limits(measurement)]
    if any(finding.severity == "error" for finding in findings):
        return findings
    places = roots() if folders is None else list(folders)
    return [*findings, *_plausible(measurement, _sheet(measurement, places)), *_agreement(measurement, places)]


def as_device(measured: dict[str, Any]) -> Device | None:
    """The device a measurement speaks of, or None where its description is not one."""
    try:
        return Device(**{"index": 0, **measured})
    except TypeError:
        return None


def _content(measurement: Measurement) -> list[Finding]:
    found = []
    if measurement.sha256 != canonical_sha256(measurement):
        found.append(_error("sha256", "does not match the content: the file was edited"))
    if measurement.benchmark_version != BENCHMARK_VERSION:
        found.append(_error("benchmark_version", f"{measurement.benchmark_version}: compares only with {BENCHMARK_VERSION}; measure again"))
    if measurement.shared_device:
        found.append(_error("shared_device", "another process used the device meanwhile; measure again on an idle machine"))
    found += [
        _error(f"device.{name}", "identifies a machine or a moment; `export` leaves it out")
        for name in NOT_SHARED
        if name in measurement.device
    ]
    if as_device(measurement.device) is None:
        found.append(_error("device", "is not the description of a device"))
    if not measurement.matrix:
        found.append(_error("matrix", "no rate was measured"))
    dtypes = [rate.dtype for rate in measurement.matrix]
    found += [_error("matrix", f"{dtype} stands twice") for dtype in sorted(set(dtypes)) if dtypes.count(dtype) > 1]
    return found


def _aggregates(measurement: Measurement) -> list[Finding]:
    found = []
    for rate in measurement.matrix:
        if len(rate.samples_s) < 3 or min(rate.samples_s) <= 0:
            found.append(_error(f"matrix.{rate.dtype}.samples_s", "fewer than 3 samples, or one that took no time"))
        else:
            found += _same(f"matrix.{rate.dtype}.flops", rate.flops, matrix_flops(rate.shape, rate.samples_s))
            if rate.sustained_flops and rate.sustained_flops > 1.25 * rate.flops:
                found.append(
                    _error(f"matrix.{rate.dtype}.sustained_flops", "above the burst rate: nothing sustains more than it can reach")
                )
    for kind, value in (
        ("copy", measurement.copy_bytes_per_s),
        ("triad", measurement.triad_bytes_per_s),
        ("host_to_device", measurement.host_to_device_bytes_per_s),
        ("device_to_host", measurement.device_to_host_bytes_per_s),
    ):
        samples, moved = measurement.bandwidth_samples_s.get(kind), measurement.bandwidth_bytes.get(kind)
        if value is None:
            continue
        if not samples or not moved or min(samples) <= 0:
            found.append(_error(f"bandwidth_samples_s.{kind}", "the raw samples behind the figure are missing"))
        else:
            found += _same(f"{kind}_bytes_per_s", value, bandwidth(moved, samples))
    if measurement.mamf_v2_flops is not None:
        if measurement.mamf_v2_shape is None or len(measurement.mamf_v2_samples_s) < 100:
            found.append(_error("mamf_v2_samples_s", "the method takes 100 samples of one shape"))
        else:
            found += _same("mamf_v2_flops", measurement.mamf_v2_flops, mamf_flops(measurement.mamf_v2_shape, measurement.mamf_v2_samples_s))
    if measurement.attention_winners != attention_winners(measurement.attention):
        found.append(_error("attention_winners", "are not those of the results beside them"))
    found += [
        _error(f"attention.{result.backend}", "accepted without times" if result.accepted else "rejected without a reason")
        for result in measurement.attention
        if (result.accepted and not (result.forward_s and result.backward_s)) or (not result.accepted and not result.reason)
    ]
    return found


def _limits(measurement: Measurement) -> list[Finding]:
    rows: list[tuple[str, float | None, str]] = [(f"matrix.{rate.dtype}.flops", rate.flops, "FLOP/s") for rate in measurement.matrix]
    rows += [(f"matrix.{rate.dtype}.sustained_flops", rate.sustained_flops, "FLOP/s") for rate in measurement.matrix]
    rows += [
        ("mamf_v2_flops", measurement.mamf_v2_flops, "FLOP/s"),
        ("copy_bytes_per_s", measurement.copy_bytes_per_s, "B/s"),
        ("triad_bytes_per_s", measurement.triad_bytes_per_s, "B/s"),
        ("host_to_device_bytes_per_s", measurement.host_to_device_bytes_per_s, "B/s"),
        ("device_to_host_bytes_per_s", measurement.device_to_host_bytes_per_s, "B/s"),
        ("usable_memory_bytes", measurement.usable_memory_bytes, "B"),
        ("launch_overhead_s", measurement.launch_overhead_s, "s"),
    ]
    found = []
    for field, value, unit in rows:
        low, high = _LIMITS[unit]
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            found.append(_error(field, f"{value:g} {unit} is impossible ({low:g} to {high:g}): another unit, or not measured"))
    total = measurement.device.get("memory_total_bytes")
    if total and measurement.usable_memory_bytes and measurement.usable_memory_bytes > total * 1.001:
        found.append(_error("usable_memory_bytes", "more than the device has"))
    return found


def _plausible(measurement: Measurement, sheet: Datasheet | None) -> list[Finding]:
    if sheet is None:
        return []
    stated = {name: entry.value for name, entry in sheet.values.items()}
    pairs = [(f"matrix.{rate.dtype}.flops", rate.flops, stated.get(_SHEET_DTYPES.get(rate.dtype, ""))) for rate in measurement.matrix]
    pairs.append(("copy_bytes_per_s", measurement.copy_bytes_per_s or 0.0, stated.get("bandwidth_bytes_per_s")))
    low, high = PLAUSIBLE
    return [
        _error(
            field,
            f"{value:.4g} is {value / claimed:.2f} of the datasheet's {claimed:.4g}, outside {low} to {high}: wrong board or wrong row",
        )
        for field, value, claimed in pairs
        if value and claimed and not low <= value / claimed <= high
    ]


def _agreement(measurement: Measurement, folders: Sequence[Path]) -> list[Finding]:
    """Outliers among submissions of the kind, and copies; this machine's own folder holds the originals of its exports."""
    device = as_device(measurement.device)
    if device is None:
        return []
    rates: dict[str, list[float]] = {}
    for root in folders:
        for path in measurement_files(root):
            try:
                other = read_measurement(path)
            except UsageError:
                continue
            if (
                other.sha256 == measurement.sha256
                or not measured_on_such(other.device, device)
                or other.benchmark_version != BENCHMARK_VERSION
            ):
                continue
            if root != own_root() and _same_samples(other, measurement):
                return [_error("matrix", f"the samples are those of {path.name}: a copy under another name")]
            for field, value in headline(other).items():
                rates.setdefault(field, []).append(value)
    return [
        Finding(
            severity="warning", field=field, text=f"{value:.4g} is {value / middle - 1:+.0%} from the median of {len(rates[field])} others"
        )
        for field, value in headline(measurement).items()
        if field in rates and abs(value / (middle := statistics.median(rates[field])) - 1) > OUTLIER
    ]


def headline(measurement: Measurement) -> dict[str, float]:
    """The figures that measurements of one kind are compared by."""
    values = {f"{rate.dtype}_flops": rate.flops for rate in measurement.matrix}
    values |= {"copy_bytes_per_s": measurement.copy_bytes_per_s or 0.0, "triad_bytes_per_s": measurement.triad_bytes_per_s or 0.0}
    return {field: value for field, value in values.items() if value}


def _sheet(measurement: Measurement, folders: Sequence[Path]) -> Datasheet | None:
    device = as_device(measurement.device)
    for root in folders if device else ():
        for path in datasheet_files(root):
            try:
                sheet = read_datasheet(path)
            except UsageError:
                continue
            if device and sheet_of(sheet, device):
                return sheet
    return None


def _same_samples(one: Measurement, other: Measurement) -> bool:
    return [rate.samples_s for rate in one.matrix] == [rate.samples_s for rate in other.matrix]


def _same(field: str, stated: float, computed: float) -> list[Finding]:
    if math.isclose(stated, computed, rel_tol=1e-6):
        return []
    return [_error(field, f"{stated:.6g} is stated, its raw samples give {computed:.6g}")]


def _error(field: str, text: str) -> Finding:
    return Finding(severity="error", field=field, text=text)
