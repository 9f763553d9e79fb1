"""`make bench-host`: how light the host is, as medians beside their limits.

    python bench/host.py [--times 15] [--night FOLDER] [--seconds 30]

`--help`, `detect` and `status` (of a synthetic night of 150 experiments) as fresh processes, start to exit, interleaved. Then the host's
share of one core while a run is on: with `--night`, of the process that lives that night now, by the kernel's account; without, of a
stand-in: the real monitor at its real interval beside a sleeping process, and an open ledger with its heartbeat. The stand-in has neither
the engine's log stream nor the terminal's panel. Run it on an idle machine. Last line: JSON. Exit 1 beyond a limit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import long_night

from appliance import hardware, ledger
from appliance.errors import ApplianceError, UsageError

LIMITS = {"help_ms": 120.0, "detect_ms": 300.0, "status_ms": 300.0, "host_cpu_share": 0.03}
EXPERIMENTS = 150
COMMAND = str(Path(sys.executable).with_name("appliance"))


def started(commands: Mapping[str, Sequence[str]], times: int) -> dict[str, float]:
    """Command → median milliseconds from start to exit; a first round that warms the page cache is not counted."""
    took: dict[str, list[float]] = {name: [] for name in commands}
    for n in range(times + 1):
        for name, arguments in commands.items():
            began = time.perf_counter()
            subprocess.run([COMMAND, *arguments], stdout=subprocess.DEVNULL, check=True)
            if n:
                took[name].append(1000 * (time.perf_counter() - began))
    return {f"{name}_ms": median(values) for name, values in took.items()}


def cpu_s(pid: int, proc: Path = Path("/proc")) -> float:
    """Seconds of CPU that a process and its threads have used; of its children, those it has waited for. proc(5), /proc/pid/stat.

    Raises:
        UsageError: it is gone.
    """
    try:
        after_name = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise UsageError(f"process {pid} has ended: name a night that is running") from error
    return sum(int(ticks) for ticks in after_name[11:15]) / os.sysconf("SC_CLK_TCK")


def share_of_night(folder: Path, seconds: float) -> float:
    """Share of one core of the process that lives this night, over so many seconds.

    Raises:
        UsageError: nobody lives it.
    """
    holder = ledger.night_holder(folder)
    if holder is None:
        raise UsageError(f"night {folder.name} is not running: start it, or leave --night out")
    return _share(holder.pid, seconds)


def share_beside_a_run(folder: Path, seconds: float) -> float:
    """Share of one core of this process while it watches a run as a night does, its ledger at `folder` open."""
    device = hardware.choose(hardware.detect(), None)
    with ledger.open(folder), subprocess.Popen(["sleep", str(seconds + 60)]) as run:
        try:
            with hardware.Monitor(device, run.pid):
                return _share(os.getpid(), seconds)
        finally:
            run.kill()


def _share(pid: int, seconds: float) -> float:
    used, began = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(pid) - used) / (time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=15, help="of each command")
    parser.add_argument("--night", type=Path, default=None, help="a night that is running: its process is watched")
    parser.add_argument("--seconds", type=float, default=30.0, help="for which the host's share is measured")
    chosen = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="bench-host-") as name:
            long_night.write(Path(name), EXPERIMENTS)
            folder = next(Path(name).iterdir())
            found = started({"help": ["--help"], "detect": ["detect"], "status": ["status", str(folder)]}, chosen.times)
            share = share_of_night(chosen.night, chosen.seconds) if chosen.night else share_beside_a_run(folder, chosen.seconds)
    except ApplianceError as error:
        print(f"bench-host: {error}", file=sys.stderr)
        return error.exit_code
    found["host_cpu_share"] = share
    print(f"{'':16}{'measured':>10}{'limit':>10}{'ratio':>8}")
    for figure, limit in LIMITS.items():
        print(f"{figure:16}{found[figure]:10.4g}{limit:10g}{found[figure] / limit:8.2f}")
    print(json.dumps({figure: round(found[figure], 4) for figure in LIMITS}))
    return int(any(found[figure] > limit for figure, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
