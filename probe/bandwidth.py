"""Memory: copy and triad on the device, transfers to and from pinned host memory, what can be allocated; and what a launch costs.

Arrays of at least 256 MiB and four times the last cache. Data are random and checked afterwards: a copy that did not happen is fast.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import torch
from timing import CpuTimer, CudaTimer

ARRAY_BYTES = 256 << 20
SCALAR = 0.4
TRANSFER_BYTES = 512 << 20
LAUNCHES = 2000


def measure(kind: str, mode: str) -> dict:
    """Raw samples per kind of movement, usable memory, launch overhead."""
    timer = CudaTimer() if kind == "cuda" else CpuTimer()
    limit_s = {("cpu", "quick"): 1.5, ("cpu", "full"): 3.0, ("cuda", "full"): 4.0}.get((kind, mode), 1.0)
    notes: list[str] = []
    moved, disturbed = _device(kind, timer, limit_s, notes)
    if kind == "cuda":
        moved |= _transfers(timer, limit_s, notes)
    return {
        "bandwidth": moved,
        "usable_memory_bytes": usable_memory(kind, notes),
        "launch_overhead_s": launch_overhead(kind),
        "notes": notes,
        "disturbed": disturbed,
    }


def _device(kind: str, timer: CpuTimer | CudaTimer, limit_s: float, notes: list[str]) -> tuple[dict, bool]:
    elements = max(ARRAY_BYTES, 4 * _cache_bytes(kind)) // 4
    try:
        a, b, c = (torch.rand(elements, device=kind) for _ in range(3))
    except RuntimeError as error:
        notes.append(f"bandwidth: {str(error).splitlines()[0][:160]}")
        return {}, False
    copy, first = timer.collect(lambda: c.copy_(a), limit_s, flush=False)
    copied = torch.equal(a, c)
    triad, second = timer.collect(lambda: torch.add(a, b, alpha=SCALAR, out=c), limit_s, flush=False)
    right = torch.allclose(c[:: 1 << 10], a[:: 1 << 10] + SCALAR * b[:: 1 << 10], rtol=1e-6) and not torch.equal(a, c)
    size = 4 * elements
    for name, samples, bytes_moved in (("copy", copy, 2 * size), ("triad", triad, 3 * size)):
        print(f"{name}: {bytes_moved / min(seconds for _, seconds, _ in samples) / 1e9:.4g} GB/s", flush=True)
    return {
        "copy": {"bytes": 2 * size, "samples": copy[1:], "verified": copied},
        "triad": {"bytes": 3 * size, "samples": triad[1:], "verified": right},
    }, first or second


def _transfers(timer: CudaTimer, limit_s: float, notes: list[str]) -> dict:
    try:
        host = torch.randint(0, 127, (TRANSFER_BYTES,), dtype=torch.int8, pin_memory=True)
        back = torch.zeros(TRANSFER_BYTES, dtype=torch.int8, pin_memory=True)
        device = torch.empty(TRANSFER_BYTES, dtype=torch.int8, device="cuda")
    except RuntimeError as error:
        notes.append(f"host to device: {str(error).splitlines()[0][:160]}")
        return {}
    up, _ = timer.collect(lambda: device.copy_(host, non_blocking=True), limit_s, flush=False)
    down, _ = timer.collect(lambda: back.copy_(device, non_blocking=True), limit_s, flush=False)
    same = torch.equal(host, back)
    return {
        "host_to_device": {"bytes": TRANSFER_BYTES, "samples": up[1:], "verified": same},
        "device_to_host": {"bytes": TRANSFER_BYTES, "samples": down[1:], "verified": same},
    }


def usable_memory(kind: str, notes: list[str]) -> int | None:
    """The largest single allocation after the context is made. Never tried on memory shared with the host: it would freeze the machine."""
    host = _host_available()
    if kind == "cpu":
        return host
    free, total = torch.cuda.mem_get_info()
    if torch.cuda.get_device_properties(0).is_integrated:
        notes.append(f"unified memory: the runtime calls {free >> 20} MiB free; nothing was allocated to try")
        return min(free, host) if host else free
    torch.cuda.empty_cache()
    low, high = 0, torch.cuda.mem_get_info()[0]
    for _ in range(14):
        middle = (low + high + 1) // 2
        try:
            block = torch.empty(middle, dtype=torch.uint8, device="cuda")
            del block
            low = middle
        except RuntimeError:
            high = middle
        torch.cuda.empty_cache()
    notes.append(f"memory: {free >> 20} of {total >> 20} MiB free after the context; largest allocation {low >> 20} MiB")
    return low or None


def launch_overhead(kind: str) -> float:
    """Seconds per tiny operation, queued without waiting."""
    x = torch.zeros(8, device=kind)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(LAUNCHES):
            x.add_(1.0)
        if kind == "cuda":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begin) / LAUNCHES)
    return best


def _cache_bytes(kind: str) -> int:
    """The last cache of the device, or 0 where nobody tells."""
    if kind == "cuda":
        return getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0)
    sizes = [0]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        with suppress(OSError, ValueError):
            sizes.append(int(path.read_text().strip().rstrip("K")) * 1024)
    return min(max(sizes), 512 << 20)


def _host_available() -> int | None:
    """MemAvailable, or what the cgroup leaves where that is less."""
    known = []
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        known += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for limit, usage in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        root = Path("/sys/fs/cgroup")
        with suppress(OSError, ValueError):
            bound = int((root / limit).read_text())
            if bound < 1 << 60:
                known.append(max(0, bound - int((root / usage).read_text())))
    with suppress(ValueError, OSError):
        known.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(known) if known else None
