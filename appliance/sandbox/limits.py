"""What `Limits` comes to on this machine."""

import os
from pathlib import Path

from appliance.records import Limits


def cpus_of(limits: Limits) -> float:
    """CPUs a box may use: what was asked, at most the cores this process may use."""
    cores = len(os.sched_getaffinity(0))
    return min(limits.cpus, float(cores)) if limits.cpus is not None else float(cores)


def memory_of(limits: Limits) -> int:
    """Bytes a box may use: what was asked, else its share of what is available now."""
    if limits.memory_bytes is not None:
        return limits.memory_bytes
    return int(limits.memory_share * available_bytes())


def available_bytes() -> int:
    """MemAvailable of the host."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
