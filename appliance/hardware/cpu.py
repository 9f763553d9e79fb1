"""The CPU as a device: model, cores this process may use, vector extensions, NUMA nodes, memory. Reads /proc and /sys; never raises."""

import os
import platform
from pathlib import Path

from appliance.hardware.boards import slug
from appliance.hardware.cgroup import memory_limit_left
from appliance.records import Device

_X86 = (
    ("sse4_2", "sse4.2"),
    ("avx", "avx"),
    ("fma", "fma"),
    ("avx2", "avx2"),
    ("avx512f", "avx512f"),
    ("avx512_vnni", "avx512_vnni"),
    ("avx512_bf16", "avx512_bf16"),
    ("avx512_fp16", "avx512_fp16"),
    ("amx_tile", "amx_tile"),
    ("amx_bf16", "amx_bf16"),
    ("amx_int8", "amx_int8"),
    ("asimd", "neon"),
    ("asimdhp", "fp16"),
    ("bf16", "bf16"),
    ("sve", "sve"),
    ("sve2", "sve2"),
    ("i8mm", "i8mm"),
)
"""Flag in /proc/cpuinfo → name. The ones that decide how fast matrix products are."""


def memory_info() -> dict[str, int]:
    """/proc/meminfo in bytes; empty where there is none."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    values = {}
    for line in lines:
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            values[key] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return values


def available_memory() -> int | None:
    """What a new process may take: MemAvailable, or what is left of our own cgroup's limit where that is less. Bytes."""
    known = [value for value in (memory_info().get("MemAvailable"), memory_limit_left()) if value is not None]
    return min(known) if known else None


def usable_cores() -> int:
    """Cores this process may be scheduled on."""
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def detect_cpu() -> Device:
    """The machine's CPU. Every machine has one, so a list of devices is never empty."""
    info = _cpuinfo()
    name = info.get("model name") or _arm_name(info) or platform.processor() or platform.machine() or "unknown CPU"
    flags = set((info.get("flags") or info.get("Features") or "").split())
    extensions = [label for flag, label in _X86 if flag in flags]
    cores = usable_cores()
    total = memory_info().get("MemTotal")
    refused = {}
    if total is None:
        refused["memory_total_bytes"] = "no /proc/meminfo on this system"
    if not info:
        refused["vector_extensions"] = "no /proc/cpuinfo on this system"
    current, highest = _clock("cpuinfo_cur_freq", "scaling_cur_freq"), _clock("cpuinfo_max_freq")
    return Device(
        kind="cpu",
        index=0,
        name=name,
        slug=f"{slug(name)}-{cores}c",
        memory_total_bytes=total,
        memory_usable_bytes=available_memory(),
        virtual="hypervisor" in flags if flags else None,
        sm_clock_mhz=current,
        sm_clock_max_mhz=highest,
        driver=platform.release() or None,
        utilization=_load(cores),
        cores=cores,
        vector_extensions=extensions,
        numa_nodes=_numa_nodes(),
        refused=refused,
    )


def _cpuinfo() -> dict[str, str]:
    """The first processor's block of /proc/cpuinfo."""
    block: dict[str, str] = {}
    try:
        with Path("/proc/cpuinfo").open() as lines:
            for line in lines:
                if not line.strip() and block:
                    break
                key, _, value = line.partition(":")
                block[key.strip()] = value.strip()
    except OSError:
        return {}
    return block


def _arm_name(info: dict[str, str]) -> str | None:
    """ARM kernels give no model name: the device tree's, else implementer and part numbers, which are exact."""
    try:
        model = Path("/proc/device-tree/model").read_text(errors="replace").strip("\x00 \n")
    except OSError:
        model = ""
    if model:
        return model
    if "CPU implementer" in info and "CPU part" in info:
        return f"ARM implementer {info['CPU implementer']} part {info['CPU part']}"
    return None


def _clock(*names: str) -> int | None:
    for name in names:
        try:
            return int(Path("/sys/devices/system/cpu/cpu0/cpufreq", name).read_text()) // 1000
        except (OSError, ValueError):
            continue
    return None


def _numa_nodes() -> int | None:
    nodes = list(Path("/sys/devices/system/node").glob("node[0-9]*")) if Path("/sys/devices/system/node").is_dir() else []
    return len(nodes) or None


def _load(cores: int) -> float | None:
    """One-minute load over the cores, at most 1."""
    try:
        return round(min(1.0, os.getloadavg()[0] / cores), 3)
    except OSError:
        return None
