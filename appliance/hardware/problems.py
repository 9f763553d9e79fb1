"""What is wrong with the machine's devices, in words a person can act on."""

from appliance.records import Device, Record


class Problem(Record, frozen=True, kw_only=True):
    """A device that is there and cannot be used, or a driver that cannot."""

    name: str
    """For programs: `gpu_lost`, `driver_mismatch`, `driver_not_loaded`, `driver_too_old`, `mig_empty`, …"""
    text: str
    """One line: what, and how to mend it."""


class Survey(Record, frozen=True, kw_only=True):
    """Everything one look at the machine found."""

    devices: list[Device]
    """Accelerators first, as their source enumerates them; the CPU last."""
    problems: list[Problem]
