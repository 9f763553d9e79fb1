"""Which devices there are, and which one to use. A second source (AMD's) joins `SOURCES`; callers do not change."""

from collections.abc import Callable, Sequence

from appliance.errors import UsageError
from appliance.hardware.cpu import detect_cpu
from appliance.hardware.problems import Problem, Survey
from appliance.records import Device

BUSY_UTILIZATION = 0.1
"""A device busier than this is not idle, whoever the process is."""


def _nvidia() -> tuple[list[Device], list[Problem]]:
    from appliance.hardware.nvml import detect_nvidia

    return detect_nvidia()


SOURCES: list[Callable[[], tuple[list[Device], list[Problem]]]] = [_nvidia]
"""Each returns (devices, problems) and never raises."""


def survey() -> Survey:
    """Every device and every problem. Never raises for a machine without a GPU."""
    devices: list[Device] = []
    problems: list[Problem] = []
    for source in SOURCES:
        found, wrong = source()
        devices += found
        problems += wrong
    return Survey(devices=[*devices, detect_cpu()], problems=problems)


def detect() -> list[Device]:
    """Every device: accelerators first, the CPU last."""
    return survey().devices


def idle(device: Device) -> bool:
    """Nobody computes on it, as far as the platform tells."""
    return not device.processes and (device.utilization or 0.0) <= BUSY_UTILIZATION


def choose(devices: Sequence[Device], selector: str | None = None) -> Device:
    """The device that `selector` names: index, UUID or its beginning, `cpu`, or slug.

    Without a selector: the idle GPU with most memory, else the GPU with most memory, else the CPU.

    Raises:
        UsageError: nothing, or more than one device, answers to the selector.
    """
    accelerators = [device for device in devices if device.kind != "cpu"]
    if selector is None:
        pool = [device for device in accelerators if idle(device)] or accelerators
        if pool:
            return max(pool, key=lambda device: (device.memory_total_bytes or 0, -device.index))
        return _only([device for device in devices if device.kind == "cpu"], "cpu", devices)
    wanted = selector.strip()
    if wanted.lower() == "cpu":
        return _only([device for device in devices if device.kind == "cpu"], wanted, devices)
    if wanted.isdecimal():
        return _only([device for device in accelerators if device.index == int(wanted)], wanted, devices)
    exact = [device for device in devices if device.slug == wanted.lower()]
    if exact:
        return max(exact, key=lambda device: (idle(device), -device.index))
    bare = wanted.upper().removeprefix("GPU-").removeprefix("MIG-")
    by_uuid = [device for device in devices if device.uuid and len(bare) >= 4 and _bare(device.uuid).startswith(bare)]
    return _only(by_uuid, wanted, devices)


def _bare(uuid: str) -> str:
    return uuid.upper().removeprefix("GPU-").removeprefix("MIG-")


def _only(found: list[Device], selector: str, devices: Sequence[Device]) -> Device:
    if len(found) == 1:
        return found[0]
    there = ", ".join(_handle(device) for device in devices) or "none"
    what = "no device answers to" if not found else "more than one device answers to"
    raise UsageError(f"--device {selector}: {what} it; there are: {there}. Give an index, a UUID, a slug or `cpu`.")


def _handle(device: Device) -> str:
    return f"cpu ({device.name})" if device.kind == "cpu" else f"{device.index} ({device.name}, {device.slug})"
