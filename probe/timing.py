"""Timing one operation: warm, flushed, random data, until the relative deviation is small or the time is up.

A sample is [start by CLOCK_MONOTONIC, seconds, undisturbed]. On a GPU the host's telemetry decides later what was disturbed. On a CPU the
kernel counts here how often a thread was pushed off its core.
"""

import resource
import statistics
import time
from collections.abc import Callable

import torch

FLUSH_BYTES = 256 << 20
SLOWER = 1.1
"""A CPU sample slower than this times the fastest quarter was disturbed."""
MIN_SAMPLES = 10
MIN_QUIET = 5
"""Fewer samples without a context switch than this, and the switches cannot be the measure."""
MIN_SECONDS = 0.5
RELATIVE_DEVIATION = 0.005


class CpuTimer:
    """Wall clock, and the kernel's count of how often a thread of ours was pushed off its core."""

    def collect(self, operation: Callable[[], object], limit_s: float, *, flush: bool = False) -> tuple[list[list], bool]:
        """Samples until the undisturbed ones agree or the time is up; and whether most were disturbed.

        The time is `limit_s`, and up to three times that while fewer than `MIN_SAMPLES` were undisturbed.
        """
        operation()
        raw: list[tuple[float, float, int]] = []
        begin = time.perf_counter()
        while True:
            if flush:
                _cpu_flush()
            start, pushed, wall = time.monotonic(), _pushed_off(), time.perf_counter()
            operation()
            seconds = time.perf_counter() - wall
            raw.append((start, seconds, _pushed_off() - pushed))
            spent = time.perf_counter() - begin
            if spent > 3 * limit_s:
                break
            if len(raw) % 10 == 0 and spent >= min(MIN_SECONDS, limit_s):
                samples = _mark(raw)
                if _steady(samples) or (spent > limit_s and sum(1 for sample in samples if sample[2]) >= MIN_SAMPLES):
                    break
        samples = _mark(raw)
        return samples, sum(1 for sample in samples if sample[2]) < len(samples) / 2

    def rate(self, operation: Callable[[], object], limit_s: float) -> float:
        """Median seconds, roughly: for searches."""
        operation()
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < 3 or (time.perf_counter() - begin < limit_s and len(times) < 50):
            wall = time.perf_counter()
            operation()
            times.append(time.perf_counter() - wall)
        return sorted(times)[len(times) // 4]

    def sustain(self, operation: Callable[[], object], seconds: float) -> float:
        """Operations per second over the second half of `seconds`, without a pause."""
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds / 2:
            operation()
        count, half = 0, time.perf_counter()
        while time.perf_counter() - half < seconds / 2:
            operation()
            count += 1
        return count / (time.perf_counter() - half)

    def series(self, operation: Callable[[], object], warm: int, timed: int, rewrite: Callable[[], object]) -> list[list]:
        """`timed` samples after `warm`, cache flushed and output rewritten before each: how the published table is made."""
        samples = []
        for i in range(warm + timed):
            rewrite()
            _cpu_flush()
            start, wall = time.monotonic(), time.perf_counter()
            operation()
            if i >= warm:
                samples.append([start, time.perf_counter() - wall, True])
        return samples

    def wait(self) -> None:
        """Nothing runs behind a CPU's back."""


class CudaTimer:
    """Device events, in batches so that the queue never runs dry."""

    batch = 10

    def __init__(self) -> None:
        properties = torch.cuda.get_device_properties(0)
        size = max(FLUSH_BYTES, 4 * getattr(properties, "L2_cache_size", 0))
        self._cache = torch.empty(size, dtype=torch.int8, device="cuda")

    def collect(self, operation: Callable[[], object], limit_s: float, *, flush: bool = True) -> tuple[list[list], bool]:
        """As `CpuTimer.collect`; what was disturbed is for the host to say."""
        self._warm(operation, min(1.0, limit_s / 2))
        samples: list[list] = []
        begin = time.perf_counter()
        while True:
            samples += self._batch(operation, self.batch, flush, lambda: None)
            spent = time.perf_counter() - begin
            enough = len(samples) >= MIN_SAMPLES and spent >= min(MIN_SECONDS, limit_s)
            if spent > limit_s or (enough and _steady(samples)):
                return samples, False

    def rate(self, operation: Callable[[], object], limit_s: float) -> float:
        """Median seconds, roughly: for searches."""
        for _ in range(2):
            operation()
        samples: list[list] = []
        begin = time.perf_counter()
        while not samples or (time.perf_counter() - begin < limit_s and len(samples) < 20):
            samples += self._batch(operation, 5, True, lambda: None)
        return statistics.median(sample[1] for sample in samples)

    def sustain(self, operation: Callable[[], object], seconds: float) -> float:
        """As `CpuTimer.sustain`."""
        one = self.rate(operation, 0.2)
        burst = max(1, int(0.1 / one))

        def run(length: float) -> tuple[int, float]:
            count, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < length:
                for _ in range(burst):
                    operation()
                torch.cuda.synchronize()
                count += burst
            return count, time.perf_counter() - begin

        run(seconds / 2)
        count, spent = run(seconds / 2)
        return count / spent

    def series(self, operation: Callable[[], object], warm: int, timed: int, rewrite: Callable[[], object]) -> list[list]:
        """As `CpuTimer.series`."""
        self._batch(operation, warm, True, rewrite)
        return self._batch(operation, timed, True, rewrite)

    def wait(self) -> None:
        """Until the device is idle."""
        torch.cuda.synchronize()

    def _warm(self, operation: Callable[[], object], seconds: float) -> None:
        begin = time.perf_counter()
        while time.perf_counter() - begin < seconds:
            for _ in range(3):
                operation()
            torch.cuda.synchronize()

    def _batch(self, operation: Callable[[], object], count: int, flush: bool, rewrite: Callable[[], object]) -> list[list]:
        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(count)]
        start = time.monotonic()
        for before, after in pairs:
            rewrite()
            if flush:
                self._cache.zero_()
            before.record()
            operation()
            after.record()
        torch.cuda.synchronize()
        step = (time.monotonic() - start) / count
        return [[start + i * step, before.elapsed_time(after) / 1000, True] for i, (before, after) in enumerate(pairs)]


_flush_buffer: list[torch.Tensor] = []


def _cpu_flush() -> None:
    if not _flush_buffer:
        _flush_buffer.append(torch.empty(FLUSH_BYTES // 4, dtype=torch.float32))
    _flush_buffer[0].zero_()


def _pushed_off() -> int:
    """Involuntary context switches of all threads of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _mark(raw: list[tuple[float, float, int]]) -> list[list]:
    """Which samples were undisturbed: no thread was pushed off, and not slower than `SLOWER` × the fastest quarter of those.

    The second condition is for hypervisors, which take a core away without a word.
    """
    quiet = sorted(seconds for _, seconds, pushed in raw if not pushed)
    if len(quiet) < MIN_QUIET:
        quiet = sorted(seconds for _, seconds, _ in raw)
        limit, strict = SLOWER * quiet[len(quiet) // 4], False
    else:
        limit, strict = SLOWER * quiet[len(quiet) // 4], True
    return [[start, seconds, seconds <= limit and not (strict and pushed)] for start, seconds, pushed in raw]


def _steady(samples: list[list]) -> bool:
    times = [seconds for _, seconds, fine in samples if fine]
    return len(times) >= MIN_SAMPLES and statistics.stdev(times) <= RELATIVE_DEVIATION * statistics.fmean(times)
