"""NVIDIA devices through NVML. The only file that imports the binding.

What a device refuses to tell is null with the reason; what makes a device unusable (lost, no driver, library and kernel module that
differ) is a `Problem`, never an exception and never a device with guessed numbers. Covers whole GPUs, MIG slices, vGPUs and boards whose
memory is the host's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pynvml

from appliance.hardware.boards import CORES_PER_SM, LAPTOP_SUFFIXES, UNIFIED_MEMORY, slug
from appliance.hardware.cpu import available_memory, memory_info
from appliance.hardware.problems import Problem
from appliance.records import Device

EVENTS = (
    (0x04, "sw_power_cap"),
    (0x08, "hw_slowdown"),
    (0x20, "sw_thermal"),
    (0x40, "hw_thermal"),
    (0x80, "power_brake"),
)
"""Clock-event bits that say the device was held back. Idle, application clocks and display clocks are settings, not events."""

_VGPU_GUEST = 2
"""NVML_GPU_VIRTUALIZATION_MODE_VGPU. Pass-through (1) is the whole board."""


class LostError(Exception):
    """The device stopped answering while it was read."""


@dataclass(slots=True)
class _Asker:
    """Calls the binding and turns a refusal into a reason."""

    refused: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        """The call's answer, or None with `refused[name]` set.

        Raises:
            LostError: the device fell off the bus or needs a reset.
        """
        try:
            return call(*args)
        except pynvml.NVMLError as error:
            if error.value in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED):
                raise LostError(str(error)) from error
            self.refused[name] = reason_of(error)
        except pynvml.NVMLLibraryMismatchError:  # no NVMLError: the driver lacks the version the binding wants
            self.refused[name] = "this driver is too old to tell"
        except (UnicodeDecodeError, ValueError) as error:
            self.refused[name] = f"the binding could not read the driver's answer: {error}"
        return None


def reason_of(error: pynvml.NVMLError) -> str:
    """An NVML error as the end of a sentence."""
    known = {
        pynvml.NVML_ERROR_NOT_SUPPORTED: "not supported by this device",
        pynvml.NVML_ERROR_NO_PERMISSION: "needs more rights than this user has",
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "this driver is too old to tell",
        pynvml.NVML_ERROR_NOT_FOUND: "nothing of the kind on this device",
    }
    return known.get(error.value, f"NVML: {error}")


@contextmanager
def session() -> Iterator[None]:
    """NVML loaded and initialised; closed afterwards.

    Raises:
        pynvml.NVMLError: no library, no driver, or the two differ.
    """
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def detect_nvidia() -> tuple[list[Device], list[Problem]]:
    """Every NVIDIA device that can be used, and what is wrong with the others. Never raises."""
    try:
        with session():
            return _enumerate()
    except pynvml.NVMLError as error:
        problem = _init_problem(error)
        return [], [problem] if problem else []
    except (OSError, AttributeError, pynvml.NVMLLibraryMismatchError) as error:
        return [], [Problem(name="nvml_broken", text=f"The NVIDIA management library cannot be used: {error}. Reinstall the driver.")]


def _init_problem(error: pynvml.NVMLError) -> Problem | None:
    match error.value:
        case pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return None
        case pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
            return Problem(
                name="driver_not_loaded",
                text="The NVIDIA library is installed but its kernel module is not loaded: run `modprobe nvidia` or reboot.",
            )
        case pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            return Problem(
                name="driver_mismatch",
                text="The NVIDIA library and the loaded kernel module differ (the driver was updated while running): reboot.",
            )
        case pynvml.NVML_ERROR_FUNCTION_NOT_FOUND:
            return Problem(
                name="driver_too_old",
                text="The NVIDIA driver is too old: its library lacks nvmlInitWithFlags. Install driver 535 or newer.",
            )
        case pynvml.NVML_ERROR_NO_PERMISSION:
            return Problem(name="no_permission", text="This user may not use the NVIDIA driver: check the permissions of /dev/nvidia*.")
        case _:
            return Problem(
                name="nvml_failed", text=f"The NVIDIA management library would not start: {error}. Run `nvidia-smi` to see more."
            )


def _enumerate() -> tuple[list[Device], list[Problem]]:
    devices: list[Device] = []
    problems: list[Problem] = []
    for position in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(position)
            slices = list(_mig_slices(handle))
            if _mig_enabled(handle):
                if not slices:
                    text = (
                        f"GPU {position} has MIG on but no instance: create one, or switch it off with `nvidia-smi -i {position} -mig 0`."
                    )
                    problems.append(Problem(name="mig_empty", text=text))
                devices += [_read(part, len(devices) + i, parent=handle) for i, part in enumerate(slices)]
            else:
                devices.append(_read(handle, len(devices), parent=None))
        except (LostError, pynvml.NVMLError) as error:
            problems.append(_device_problem(position, error))
    return devices, problems


def _device_problem(position: int, error: Exception) -> Problem:
    value = getattr(error, "value", None)
    if isinstance(error, LostError) or value in (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED):
        return Problem(name="gpu_lost", text=f"GPU {position} is lost: it stopped answering. Look for `Xid` in `dmesg`, then reboot.")
    return Problem(name="gpu_unreadable", text=f"GPU {position} cannot be read: {error}.")


def _mig_enabled(handle: Any) -> bool:
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE)
    except pynvml.NVMLError:
        return False


def _mig_slices(handle: Any) -> Iterator[Any]:
    if not _mig_enabled(handle):
        return
    for i in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            yield pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, i)
        except pynvml.NVMLError as error:
            if error.value not in (pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT):
                raise


def _read(handle: Any, index: int, parent: Any | None) -> Device:
    """One device. A MIG slice has its own name, UUID, memory and multiprocessors; clocks, power and PCI belong to the board."""
    ask = _Asker()
    board = handle if parent is None else parent
    name = ask("name", pynvml.nvmlDeviceGetName, handle) or ""
    if not name:
        raise LostError("it has no name")
    capability = ask("compute_capability", pynvml.nvmlDeviceGetCudaComputeCapability, board)
    capability_text = f"{capability[0]}.{capability[1]}" if capability else None
    pci = ask("pci_id", pynvml.nvmlDeviceGetPciInfo, board)
    limits = ask("power_max_w", pynvml.nvmlDeviceGetPowerManagementLimitConstraints, board)
    mode = ask("virtual", pynvml.nvmlDeviceGetVirtualizationMode, board)
    ecc = ask("ecc", pynvml.nvmlDeviceGetEccMode, board)
    memory = _memory(ask, handle, name)
    cuda = ask("cuda", pynvml.nvmlSystemGetCudaDriverVersion_v2)
    if cuda is None:
        ask.refused.pop("cuda", None)
        cuda = ask("cuda", pynvml.nvmlSystemGetCudaDriverVersion)
    usage = ask("utilization", pynvml.nvmlDeviceGetUtilizationRates, handle)
    return Device(
        kind="cuda",
        index=index,
        name=name,
        slug=slug(name),
        uuid=ask("uuid", pynvml.nvmlDeviceGetUUID, handle),
        pci_id=_pci_id(pci),
        compute_capability=capability_text,
        sm_count=_sm_count(ask, handle, capability_text, is_slice=parent is not None),
        memory_total_bytes=memory[0],
        memory_usable_bytes=memory[1],
        memory_unified=name in UNIFIED_MEMORY,
        ecc=None if ecc is None else bool(ecc[0]),
        mig=parent is not None,
        virtual=None if mode is None else mode == _VGPU_GUEST,
        laptop=name.endswith(LAPTOP_SUFFIXES),
        power_limit_w=_watts(ask("power_limit_w", pynvml.nvmlDeviceGetEnforcedPowerLimit, board)),
        power_default_w=_watts(ask("power_default_w", pynvml.nvmlDeviceGetPowerManagementDefaultLimit, board)),
        power_max_w=_watts(limits[1]) if limits else None,
        sm_clock_mhz=ask("sm_clock_mhz", pynvml.nvmlDeviceGetClockInfo, board, pynvml.NVML_CLOCK_SM),
        sm_clock_max_mhz=ask("sm_clock_max_mhz", pynvml.nvmlDeviceGetMaxClockInfo, board, pynvml.NVML_CLOCK_SM),
        memory_clock_mhz=ask("memory_clock_mhz", pynvml.nvmlDeviceGetClockInfo, board, pynvml.NVML_CLOCK_MEM),
        memory_clock_max_mhz=ask("memory_clock_max_mhz", pynvml.nvmlDeviceGetMaxClockInfo, board, pynvml.NVML_CLOCK_MEM),
        pcie_generation=ask("pcie_generation", pynvml.nvmlDeviceGetMaxPcieLinkGeneration, board),
        pcie_width=ask("pcie_width", pynvml.nvmlDeviceGetMaxPcieLinkWidth, board),
        driver=ask("driver", pynvml.nvmlSystemGetDriverVersion),
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        temperature_c=ask("temperature_c", pynvml.nvmlDeviceGetTemperature, board, pynvml.NVML_TEMPERATURE_GPU),
        utilization=None if usage is None else usage.gpu / 100,
        processes=compute_pids(ask, handle),
        refused=ask.refused,
    )


def _memory(ask: _Asker, handle: Any, name: str) -> tuple[int | None, int | None]:
    """(total, usable) bytes. The host's own figures on unified boards: there NVML refuses or answers with wrong values."""
    if name in UNIFIED_MEMORY:
        ask.refused["memory"] = "this board shares the host's memory; total and usable are the host's"
        return memory_info().get("MemTotal"), available_memory()
    info = ask("memory_total_bytes", pynvml.nvmlDeviceGetMemoryInfo, handle)
    if info is None or not info.total:
        ask.refused.setdefault("memory_total_bytes", "NVML answered 0 bytes")
        ask.refused["memory_usable_bytes"] = ask.refused["memory_total_bytes"]
        return None, None
    return int(info.total), int(info.free) or None


def _sm_count(ask: _Asker, handle: Any, capability: str | None, *, is_slice: bool) -> int | None:
    """Multiprocessors: a slice's own attribute, else cores over cores per multiprocessor."""
    if is_slice:
        attributes = ask("sm_count", pynvml.nvmlDeviceGetAttributes, handle)
        return int(attributes.multiprocessorCount) if attributes else None
    cores = ask("sm_count", pynvml.nvmlDeviceGetNumGpuCores, handle)
    if cores is None:
        return None
    per_sm = CORES_PER_SM.get(capability or "")
    if per_sm is None:
        ask.refused["sm_count"] = f"cores per multiprocessor of compute capability {capability} are not known"
        return None
    return int(cores) // per_sm or None


def compute_pids(ask: Callable[..., Any], handle: Any) -> list[int] | None:
    """Processes that compute on the device. A desktop's own drawing does not count; None where the platform does not tell (WSL)."""
    found = ask("processes", pynvml.nvmlDeviceGetComputeRunningProcesses, handle)
    return None if found is None else sorted({int(process.pid) for process in found})


def _pci_id(pci: Any) -> str | None:
    if pci is None or not pci.pciDeviceId:
        return None
    device, subsystem = int(pci.pciDeviceId), int(pci.pciSubSystemId)
    return f"{device & 0xFFFF:04x}:{device >> 16:04x}:{subsystem & 0xFFFF:04x}:{subsystem >> 16:04x}"


def _watts(milliwatts: int | None) -> float | None:
    return milliwatts / 1000 if milliwatts else None
