"""All profiles at a glance: a list for people, an index for the site (table and roofline), as plain data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.errors import UsageError
from appliance.profiles.files import datasheet_files, measurement_files, read_datasheet, read_measurement, roots
from appliance.profiles.match import measured_on_such, sheet_of
from appliance.profiles.verify import headline
from appliance.records import FORMAT_VERSION, Datasheet, Device, Measurement


def index(folders: Sequence[Path] | None = None) -> dict[str, Any]:
    """`{"format_version", "boards": […], "problems": […]}`, one board per folder, in the order of their names.

    A board: vendor, folder, name, architecture, `datasheet` {value name → {value, unit, source, note}}, `measurements` (headline figures,
    driver, torch, date, file) and `roofline` {"peak_flops", "bandwidth_bytes_per_s", "ridge_flops_per_byte", "source"} or None.
    """
    boards: dict[tuple[str, str], dict[str, Any]] = {}
    problems: list[str] = []
    for root in roots() if folders is None else folders:
        for path in datasheet_files(root):
            try:
                sheet = read_datasheet(path)
            except UsageError as error:
                problems.append(str(error))
                continue
            _board(boards, path).update(
                name=sheet.name, architecture=sheet.architecture, datasheet={key: _told(entry) for key, entry in sheet.values.items()}
            )
        for path in measurement_files(root):
            try:
                measurement = read_measurement(path)
            except UsageError as error:
                problems.append(str(error))
                continue
            board = _board(boards, path)
            board["name"] = board["name"] or measurement.device.get("name")
            board["measurements"].append(_measured(measurement, path))
    ordered = [boards[key] for key in sorted(boards)]
    for board in ordered:
        board["roofline"] = _roofline(board)
    return {"format_version": FORMAT_VERSION, "boards": ordered, "problems": problems}


def list_lines(folders: Sequence[Path] | None = None) -> list[str]:
    """One line per board: name, what is known."""
    lines = []
    for board in index(folders)["boards"]:
        peak = board["roofline"]
        figures = (
            f"{peak['peak_flops'] / 1e12:8.4g} TFLOP/s {peak['bandwidth_bytes_per_s'] / 1e9:7.4g} GB/s  {peak['source']}"
            if peak
            else "unknown"
        )
        lines.append(f"{board['vendor']}/{board['folder']:<46} {figures}, {len(board['measurements'])} measured")
    return lines


def match_lines(device: Device, folders: Sequence[Path] | None = None) -> list[str]:
    """Every file that speaks of this device, and how it matches."""
    lines = []
    for root in roots() if folders is None else folders:
        for path in datasheet_files(root):
            how = _sheet_match(path, device)
            if how:
                lines.append(f"{path.parent.parent.name}/{path.parent.name}/{path.name}: by {how}")
        for path in measurement_files(root):
            try:
                how = measured_on_such(read_measurement(path).device, device)
            except UsageError as error:
                lines.append(f"cannot be used: {error}")
                continue
            if how:
                lines.append(f"{path.parent.parent.name}/{path.parent.name}/{path.name}: by {how}")
    return lines or [f"{device.name}: no profile; run `appliance profile measure`"]


def show_lines(measurement: Measurement) -> list[str]:
    """A measurement for people."""
    lines = [f"{measurement.device.get('name')}, measured {measurement.measured_at} ({measurement.mode})"]
    for rate in measurement.matrix:
        sustained = f", sustained {rate.sustained_flops / 1e12:.4g}" if rate.sustained_flops else ""
        m, k, n = rate.shape
        dropped = f", {rate.throttled_samples} disturbed samples dropped" if rate.throttled_samples else ""
        lines.append(f"  {rate.dtype:<12} {rate.flops / 1e12:10.4g} TFLOP/s at {m}×{k}×{n}{sustained}{dropped}")
    if measurement.mamf_v2_flops:
        lines.append(f"  {'mamf_v2':<12} {measurement.mamf_v2_flops / 1e12:10.4g} TFLOP/s (bfloat16, best mean)")
    for label, value in (
        ("copy", measurement.copy_bytes_per_s),
        ("triad", measurement.triad_bytes_per_s),
        ("to device", measurement.host_to_device_bytes_per_s),
        ("to host", measurement.device_to_host_bytes_per_s),
    ):
        if value:
            lines.append(f"  {label:<12} {value / 1e9:10.4g} GB/s")
    if measurement.usable_memory_bytes:
        lines.append(f"  {'memory':<12} {measurement.usable_memory_bytes / (1 << 30):10.4g} GiB usable")
    if measurement.launch_overhead_s:
        lines.append(f"  {'launch':<12} {measurement.launch_overhead_s * 1e6:10.4g} µs")
    for winner in measurement.attention_winners:
        window = f"window {winner['window']}" if winner["window"] else "causal"
        tied = f" (tied: {', '.join(winner['tied'])})" if winner["tied"] else ""
        lines.append(f"  attention    head dim {winner['head_dim']}, {window}: {winner['backend']}{tied}")
    rejected = {result.backend: result.reason for result in measurement.attention if not result.accepted}
    accepted = {result.backend for result in measurement.attention if result.accepted}
    lines += [f"  rejected     {backend}: {reason}" for backend, reason in rejected.items() if backend not in accepted]
    lines += [f"  note         {note}" for note in measurement.notes]
    if measurement.shared_device:
        lines.append("  note         another process used the device meanwhile: not to be shared")
    return lines


def _board(boards: dict[tuple[str, str], dict[str, Any]], path: Path) -> dict[str, Any]:
    key = (path.parent.parent.name, path.parent.name)
    empty: dict[str, Any] = {"vendor": key[0], "folder": key[1], "name": None, "architecture": None, "datasheet": {}, "measurements": []}
    return boards.setdefault(key, empty)


def _told(entry: Any) -> dict[str, Any]:
    return {"value": entry.value, "unit": entry.unit, "source": entry.source, "note": entry.note}


def _measured(measurement: Measurement, path: Path) -> dict[str, Any]:
    return {
        "file": path.name,
        "measured_at": measurement.measured_at,
        "mode": measurement.mode,
        "driver": measurement.environment.get("driver"),
        "torch": measurement.environment.get("torch"),
        "figures": headline(measurement),
        "mamf_v2_flops": measurement.mamf_v2_flops,
        "usable_memory_bytes": measurement.usable_memory_bytes,
        "attention": {f"{w['head_dim']}/{w['window'] or 'causal'}": w["backend"] for w in measurement.attention_winners},
        "shared_device": measurement.shared_device,
    }


def _roofline(board: dict[str, Any]) -> dict[str, Any] | None:
    """The newest measurement's peak and bandwidth, else the datasheet's; None unless both of one source are known."""
    for row in sorted(board["measurements"], key=lambda item: str(item["measured_at"]), reverse=True):
        rates = {name: value for name, value in row["figures"].items() if name.endswith("_flops") and not name.startswith("float8")}
        peak, moved = rates.get("bfloat16_flops") or max(rates.values(), default=None), row["figures"].get("copy_bytes_per_s")
        if peak and moved:
            return _roof(peak, moved, "measured")
    stated = {name: entry["value"] for name, entry in board["datasheet"].items()}
    peak, moved = stated.get("bf16_flops") or stated.get("fp16_flops"), stated.get("bandwidth_bytes_per_s")
    return _roof(peak, moved, "datasheet") if peak and moved else None


def _roof(peak: float, moved: float, source: str) -> dict[str, Any]:
    return {"peak_flops": peak, "bandwidth_bytes_per_s": moved, "ridge_flops_per_byte": peak / moved, "source": source}


def _sheet_match(path: Path, device: Device) -> str | None:
    try:
        sheet: Datasheet = read_datasheet(path)
    except UsageError:
        return None
    return sheet_of(sheet, device)
