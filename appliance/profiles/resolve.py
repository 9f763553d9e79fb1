"""From a device to the facts about it: the newest fitting measurement and the datasheet, or None, which means: measure."""

from pathlib import Path

from appliance.errors import UsageError
from appliance.profiles.canonical import canonical_sha256
from appliance.profiles.files import datasheet_files, measurement_files, read_datasheet, read_measurement, roots
from appliance.profiles.match import How, driver_major, measured_on_such, sheet_of
from appliance.profiles.probed import BENCHMARK_VERSION
from appliance.records import Datasheet, Device, Measurement, Profile

_WHY = {
    "pci": "the PCI id, memory and power class agree",
    "name": "the exact name agrees",
    "cpu": "the CPU model, cores and vector extensions agree",
}
_PLAIN_CASE = (64, None)
"""Head dim and window of `Profile.attention_backend`."""


def resolve(device: Device, folders: list[Path] | None = None) -> Profile | None:
    """The profile of this device from shipped and own measurements; None: nothing fits, measure.

    A file that cannot be read is left out, and the profile's notes name it.
    """
    measurement, notes = find_measurement(device, folders)
    if measurement is None:
        return None
    return assemble(device, measurement, find_datasheet(device, folders), notes)


def without_measurement(device: Device, why: str, folders: list[Path] | None = None) -> Profile:
    """What is known when nothing was measured: the datasheet's values, or nulls. For machines that cannot run the probe."""
    return assemble(device, None, find_datasheet(device, folders), [f"not measured: {why}"])


def find_measurement(device: Device, folders: list[Path] | None = None) -> tuple[Measurement | None, list[str]]:
    """The measurement to use, and notes on the choice: same driver major first, then the newest."""
    fitting: list[tuple[Measurement, How, Path]] = []
    notes: list[str] = []
    for root in roots() if folders is None else folders:
        for path in measurement_files(root):
            try:
                measurement = read_measurement(path)
            except UsageError as error:
                notes.append(f"left out: {error}")
                continue
            how = measured_on_such(measurement.device, device)
            if how and measurement.benchmark_version != BENCHMARK_VERSION:
                notes.append(f"left out: {path.name} is of benchmark version {measurement.benchmark_version}, now {BENCHMARK_VERSION}")
            elif how:
                fitting.append((measurement, how, path))
    if not fitting:
        return None, notes
    exact = [item for item in fitting if item[1] != "name"] or fitting
    major = driver_major(device.driver)
    same_driver = [item for item in exact if driver_major(item[0].environment.get("driver")) == major]
    clean = [item for item in same_driver or exact if not item[0].shared_device] or same_driver or exact
    measurement, how, path = max(clean, key=lambda item: (item[0].measured_at, item[2].name))
    notes.insert(0, f"measurement {path.name}: {_WHY[how]}")
    if len(fitting) > 1:
        reason = f"the newest on driver {major}" if same_driver else f"the newest; none was measured on driver {major}"
        notes.insert(1, f"chosen from {len(fitting)} that fit: {reason}")
    elif not same_driver:
        notes.insert(1, f"measured on driver {measurement.environment.get('driver')}, this machine has {device.driver}")
    if measurement.shared_device:
        notes.insert(1, "measured while another process used the device: rates may be too low")
    return measurement, notes


def find_datasheet(device: Device, folders: list[Path] | None = None) -> Datasheet | None:
    """The sheet of this board: by PCI id and power class, else by exact name."""
    by: dict[str, Datasheet] = {}
    for root in roots() if folders is None else folders:
        for path in datasheet_files(root):
            try:
                sheet = read_datasheet(path)
            except UsageError:
                continue
            how = sheet_of(sheet, device)
            if how and (how not in by or device.name in sheet.nvml_names):
                by[how] = sheet
    return by.get("pci") or by.get("name")


def assemble(device: Device, measurement: Measurement | None, sheet: Datasheet | None, notes: list[str]) -> Profile:
    """The facts in the form the rest of the appliance uses. Unknown numbers stay None and `notes` says so."""
    notes = list(notes)
    peak, source = _peak(device, measurement, sheet)
    if peak is None:
        notes.append("the peak matrix rate is unknown, so MFU is unknown")
    bandwidth = measurement.copy_bytes_per_s if measurement else None
    if bandwidth is None and sheet and (stated := sheet.values.get("bandwidth_bytes_per_s")):
        bandwidth = stated.value
        notes.append("bandwidth is the datasheet's, not measured")
    facts = {
        "device_slug": device.slug,
        "device_kind": device.kind,
        "name": device.name,
        "datasheet": sheet,
        "measurement": measurement,
        "peak_flops": peak,
        "peak_source": source,
        "bandwidth_bytes_per_s": bandwidth,
        "usable_memory_bytes": _usable_memory(device, measurement, notes),
        "attention_backend": _attention(measurement),
    }
    return Profile(sha256=canonical_sha256(facts), notes=notes, **facts)  # type: ignore[arg-type]


def _peak(device: Device, measurement: Measurement | None, sheet: Datasheet | None) -> tuple[float | None, str | None]:
    rates = {rate.dtype: rate.flops for rate in measurement.matrix} if measurement else {}
    if device.kind != "cpu" and "bfloat16" in rates:
        return rates["bfloat16"], "measured bfloat16"
    usable = {dtype: flops for dtype, flops in rates.items() if not dtype.startswith("float8")}
    if usable:
        dtype = max(usable, key=lambda name: usable[name])
        return usable[dtype], f"measured {dtype}"
    stated = sheet.values.get("bf16_flops") if sheet else None
    if stated and stated.value:
        return stated.value, f"datasheet: {stated.source}"
    return None, None


def _usable_memory(device: Device, measurement: Measurement | None, notes: list[str]) -> int | None:
    """Measured, unless another machine of the kind has another amount of host memory: then what this one has available now."""
    measured = measurement.usable_memory_bytes if measurement else None
    if measurement is None or measured is None:
        return device.memory_usable_bytes
    if device.kind == "cpu" or device.memory_unified:
        theirs, ours = measurement.device.get("memory_total_bytes"), device.memory_total_bytes
        if theirs and ours and abs(theirs - ours) > 0.02 * ours:
            notes.append("usable memory is this machine's own reading: the measured one has another amount")
            return device.memory_usable_bytes
    return measured


def _attention(measurement: Measurement | None) -> str | None:
    for winner in measurement.attention_winners if measurement else []:
        if (winner.get("head_dim"), winner.get("window")) == _PLAIN_CASE:
            return str(winner["backend"])
    return None
