"""NVML readings of one device while a run lasts. A device that stops answering leaves null readings, and `lost` among the events."""

from collections.abc import Callable
from typing import Any, Protocol

from appliance.records import Device


class Reader(Protocol):
    """One device's readings."""

    def read(self, own: set[int]) -> dict[str, Any]:
        """Clock, power, temperature, energy, events, and how many processes outside `own` compute on it."""

    def close(self) -> None:
        """Give the library back."""


class NullReader:
    """For a CPU, and where NVML does not answer: nothing to read."""

    def read(self, own: set[int]) -> dict[str, Any]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing to close."""


class NvmlReader:
    """A GPU or MIG slice, found by UUID, else by index."""

    def __init__(self, device: Device) -> None:
        import pynvml

        self._nvml = pynvml
        pynvml.nvmlInit()
        try:
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(device.uuid) if device.uuid else pynvml.nvmlDeviceGetHandleByIndex(device.index)
            self._board = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self._handle) if device.mig else self._handle
        except pynvml.NVMLError:
            pynvml.nvmlShutdown()
            raise
        self._refused: set[str] = set()

    def read(self, own: set[int]) -> dict[str, Any]:
        """See `Reader`."""
        nvml, board = self._nvml, self._board
        reading: dict[str, Any] = {}
        events: list[str] = []
        try:
            reading["clock"] = self._ask("clock", nvml.nvmlDeviceGetClockInfo, board, nvml.NVML_CLOCK_SM)
            power = self._ask("power", nvml.nvmlDeviceGetPowerUsage, board)
            reading["power_w"] = None if power is None else power / 1000
            reading["temperature_c"] = self._ask("temperature", nvml.nvmlDeviceGetTemperature, board, nvml.NVML_TEMPERATURE_GPU)
            energy = self._ask("energy", nvml.nvmlDeviceGetTotalEnergyConsumption, board)
            reading["energy_j"] = None if energy is None else energy / 1000
            events = self._events()
            running = self._ask("processes", nvml.nvmlDeviceGetComputeRunningProcesses, self._handle)
            reading["others"] = None if running is None else len({process.pid for process in running} - own)
        except _GoneError:
            events.append("lost")
        reading["events"] = events
        return reading

    def close(self) -> None:
        """Shut NVML down."""
        self._nvml.nvmlShutdown()

    def _events(self) -> list[str]:
        from appliance.hardware.nvml import EVENTS

        nvml = self._nvml
        bits = self._ask("events", nvml.nvmlDeviceGetCurrentClocksEventReasons, self._board)
        if bits is None:  # drivers before 535 know it by its old name
            bits = self._ask("events_old", nvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._board)
        return [name for bit, name in EVENTS if bits and bits & bit]

    def _ask(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        """The answer, or None; what was refused once is not asked again."""
        if name in self._refused:
            return None
        nvml = self._nvml
        try:
            return call(*args)
        except nvml.NVMLError as error:
            if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED, nvml.NVML_ERROR_UNKNOWN):
                raise _GoneError from error
            self._refused.add(name)
        except nvml.NVMLLibraryMismatchError:
            self._refused.add(name)
        return None


class _GoneError(Exception):
    """The device stopped answering."""


def open_reader(device: Device) -> Reader:
    """The reader of this device; one that reads nothing where the library refuses."""
    if device.kind != "cuda":
        return NullReader()
    try:
        return NvmlReader(device)
    except Exception:  # a monitor that cannot start must not end a night; the missing readings show
        return NullReader()
