"""Does this file speak of this device? PCI id with memory and power class, then the exact name; never a substring, never a default.

A CPU is its exact model name, its number of usable cores and its vector extensions (virtual machines hide the model behind a general name).
"""

from typing import Any, Literal

from appliance.records import Datasheet, Device

MEMORY_TOLERANCE = 0.02
"""Between two boards of one kind: drivers reserve a little more or less."""
DATASHEET_MEMORY_TOLERANCE = 0.15
"""Between a board and its sheet: sheets say GB for GiB and leave the driver's reserve out."""
POWER_TOLERANCE = 0.10
"""A board limited more than this below another is another power class: it will not reach the same rates."""

How = Literal["pci", "name", "cpu"]


def measured_on_such(measured: dict[str, Any], device: Device) -> How | None:
    """How a measurement's device matches this one, or None. `measured` is `Measurement.device`."""
    if measured.get("kind") != device.kind:
        return None
    if device.kind == "cpu":
        same = (measured.get("name"), measured.get("cores"), sorted(measured.get("vector_extensions") or []))
        return "cpu" if same == (device.name, device.cores, sorted(device.vector_extensions)) else None
    if bool(measured.get("mig")) != bool(device.mig) or bool(measured.get("virtual")) != bool(device.virtual):
        return None
    if not _near(measured.get("memory_total_bytes"), None if device.memory_unified else device.memory_total_bytes, MEMORY_TOLERANCE):
        return None
    if not _near(_power(measured), device.power_limit_w or device.power_default_w, POWER_TOLERANCE):
        return None
    whole = not device.mig and not device.virtual  # a slice carries its board's PCI id
    theirs, ours = _board(measured.get("pci_id")), _board(device.pci_id)
    known = all(value is not None for value in (theirs, ours, measured.get("memory_total_bytes"), device.memory_total_bytes))
    if whole and known and theirs == ours:
        return "pci"
    if theirs is not None and ours is not None and theirs != ours:
        return None
    return "name" if measured.get("name") == device.name else None


def sheet_of(sheet: Datasheet, device: Device) -> How | None:
    """How a datasheet matches this device, or None."""
    if device.kind == "cpu" or device.mig or device.virtual:
        return None
    memory, power = sheet.values.get("memory_bytes"), sheet.values.get("power_w")
    if memory and not device.memory_unified and not _near(memory.value, device.memory_total_bytes, DATASHEET_MEMORY_TOLERANCE):
        return None
    ours = _board(device.pci_id)
    if ours in sheet.pci_ids and _near(power.value if power else None, device.power_default_w, 0.25):
        return "pci"
    return "name" if device.name in sheet.nvml_names else None


def driver_major(version: Any) -> str | None:
    """`580` of `580.95.05`."""
    return str(version).split(".", 1)[0] if version else None


def _board(pci_id: Any) -> str | None:
    """Vendor and device; the subsystem names the maker of the card, not its kind."""
    return ":".join(str(pci_id).split(":")[:2]) if pci_id else None


def _power(measured: dict[str, Any]) -> Any:
    return measured.get("power_limit_w") or measured.get("power_default_w")


def _near(one: Any, other: Any, tolerance: float) -> bool:
    """Both known and within the tolerance; an unknown side does not contradict."""
    if one is None or other is None:
        return True
    return bool(abs(one - other) <= tolerance * max(abs(one), abs(other)))
