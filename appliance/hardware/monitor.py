"""The host's readings beside a run: what validity is decided from, before any score is read.

A thread reads a few files of /proc and the cgroup, and NVML where the device is a GPU, every `interval_s`: under a millisecond of CPU
each time. The sandbox cannot reach any of it. Memory peaks shorter than the interval are missed.
"""

import os
import statistics
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from appliance.hardware.cgroup import Account, account_of, pressure
from appliance.hardware.cpu import memory_info
from appliance.hardware.gpu_reader import open_reader
from appliance.records import Device, Telemetry

_FREQUENCY_EVERY_S = 5.0
"""Reading a core's clock interrupts that core on some kernels: seldom."""


class Monitor:
    """Watches one device and one run: `with Monitor(device, pid) as m: …; telemetry = m.stop()`.

    `pid` is a process of the run in our own pid namespace (a container's first process). Without one, own and others' shares are unknown.
    """

    def __init__(self, device: Device, pid: int | None = None, interval_s: float = 0.5) -> None:
        self._device = device
        self._interval_s = interval_s
        self._account: Account | None = account_of(pid) if pid is not None else None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._result: Telemetry | None = None
        self._first: dict[str, float | None] = {}
        self._last: dict[str, float | None] = {}
        self._memory_min: int | None = None
        self._memory_peak: int | None = None
        self._frequencies: list[float] = []
        self._frequency_at = float("-inf")
        self.history: list[dict[str, Any]] = []
        """One dict a sample, `t` by CLOCK_MONOTONIC: clock, power, temperature, events. Kept for measurements."""

    def start(self) -> Self:
        """Begin. The first sample is taken before this returns."""
        self._reader = open_reader(self._device)
        self._sample()
        self._thread = threading.Thread(target=self._loop, name="appliance-monitor", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> Telemetry:
        """End, with a last sample; the same answer when called again. Call it before the container is removed."""
        if self._result is not None:
            return self._result
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._sample()
            self._reader.close()
        self._result = self._telemetry()
        return self._result

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Stop, whatever happened."""
        self.stop()

    def _loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._sample()

    def _sample(self) -> None:
        now = time.monotonic()
        reading = _machine()
        if self._account is not None:
            reading["own_cpu_s"] = self._account.cpu_s()
            reading["own_pressure_s"] = self._account.pressure_s()
            held = self._account.memory_bytes()
            if held is not None:
                self._memory_peak = max(held, self._memory_peak or 0)
        if not self._first:
            self._first = reading
        # A run that ended leaves no cgroup: its last known reading stands, and never goes back.
        for key, value in reading.items():
            if value is not None:
                self._last[key] = max(value, self._last.get(key) or value) if key.startswith("own_") else value
        available = memory_info().get("MemAvailable")
        if available is not None:
            self._memory_min = available if self._memory_min is None else min(available, self._memory_min)
        if now - self._frequency_at >= _FREQUENCY_EVERY_S:
            self._frequency_at = now
            self._frequencies += _frequencies()
        own = self._account.pids() if self._account is not None and self._device.kind != "cpu" else set()
        self.history.append({"t": now, **self._reader.read(own)})

    def _telemetry(self) -> Telemetry:
        total = self._delta("total_s")
        busy, own, steal = self._delta("busy_s"), self._delta("own_cpu_s"), self._delta("steal_s")
        wall = self._delta("wall_s")
        others = _share(max(0.0, busy - own), total) if busy is not None and own is not None else None
        suspended = self._delta("suspended_s") or 0.0
        gpu = {
            key: [row[key] for row in self.history if row.get(key) is not None]
            for key in ("clock", "power_w", "temperature_c", "energy_j", "others")
        }
        energy = gpu["energy_j"]
        return Telemetry(
            samples=len(self.history),
            interval_s=self._interval_s,
            sm_clock_mhz_median=statistics.median(gpu["clock"]) if gpu["clock"] else None,
            power_w_mean=statistics.fmean(gpu["power_w"]) if gpu["power_w"] else None,
            temperature_c_max=max(gpu["temperature_c"]) if gpu["temperature_c"] else None,
            energy_j=max(0.0, energy[-1] - energy[0]) if len(energy) > 1 else None,
            events=sorted({name for row in self.history for name in row.get("events") or []}),
            other_processes=max(gpu["others"]) if gpu["others"] else None,
            cpu_steal_share=_share(steal, total),
            cpu_others_share=others,
            cpu_pressure_share=_share(self._delta("pressure_s"), wall),
            cpu_pressure_own_share=_share(self._delta("own_pressure_s"), wall),
            cpu_frequency_mhz_median=statistics.median(self._frequencies) if self._frequencies else None,
            memory_available_min_bytes=self._memory_min,
            peak_memory_bytes=self._memory_peak,
            suspended_s=suspended if suspended > 0.1 else 0.0,
        )

    def _delta(self, key: str) -> float | None:
        first, last = self._first.get(key), self._last.get(key)
        return None if first is None or last is None else max(0.0, last - first)


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _machine() -> dict[str, float | None]:
    """Counters of the whole machine: core-seconds, stolen, stalled, slept."""
    monotonic, boot = time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME)
    reading: dict[str, float | None] = {
        "wall_s": monotonic,
        "suspended_s": boot - monotonic,
        "pressure_s": pressure(Path("/proc/pressure/cpu")),
    }
    try:
        with Path("/proc/stat").open() as lines:
            fields = [int(word) for word in lines.readline().split()[1:9]]
    except (OSError, ValueError):
        fields = []
    if len(fields) == 8:
        # user nice system idle iowait irq softirq steal; proc(5)
        ticks = os.sysconf("SC_CLK_TCK")
        reading["total_s"] = sum(fields) / ticks
        reading["steal_s"] = fields[7] / ticks
        reading["busy_s"] = (sum(fields) - fields[3] - fields[4] - fields[7]) / ticks
    return reading


def _frequencies() -> list[float]:
    """Clock of each core, MHz."""
    values = []
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        try:
            values.append(int(path.read_text()) / 1000)
        except (OSError, ValueError):
            continue
    if values:
        return values
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    return [float(line.partition(":")[2]) for line in text.splitlines() if line.startswith("cpu MHz")]
