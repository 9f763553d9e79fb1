"""A night killed again and again: what was decided is there, once, readable, and the same as in a night that nobody touched.

Three series over a simulated night (`simulated_night`: real loop, judge, agent, ledger and files):

- SIGKILL at every named step between two durable effects;
- SIGKILL at random instants;
- write errors, short writes, lying writes and a disk that is full, until the night has ended nevertheless.

After every kill: each row that the loop was told is durable can be read, and none was lost that an earlier look had seen. At the end of
each night: the rows and verdicts are those of the undisturbed night. Last line: JSON with `kills`, `lost`, `duplicated`, `unreadable`.
Exit 1 where any is not zero or a verdict differs.

A kill keeps what the kernel was given, so the nights live in memory (`/dev/shm`) where there is one; what a power cut would keep is not
shown here and rests on the order of fsync and rename.
"""

import argparse
import contextlib
import ctypes
import errno
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from simulated_night import Simulation, live, write_proposals

from appliance import ledger
from appliance.ledger import Disk

PROPOSALS = 20
MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
FAILED = 75
"""Exit status of a night that met an injected failure."""


@dataclass(slots=True)
class Tally:
    """What the benchmark counts."""

    kills: int = 0
    failures: int = 0
    nights: int = 0
    lost: int = 0
    duplicated: int = 0
    unreadable: int = 0
    verdicts_differ: int = 0
    left_behind: int = 0
    problems: list[str] = field(default_factory=list)


class KillingDisk(Disk):
    """Ends the process with SIGKILL at the nth time it comes to a step."""

    def __init__(self, step: str, nth: int) -> None:
        self._step, self._left = step, nth

    def step(self, name: str) -> None:
        """Dies here when it is time."""
        if name == self._step:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class CountingDisk(Disk):
    """Counts the steps of an undisturbed night."""

    def __init__(self, file: Path) -> None:
        self._file, self.steps = file, Counter[str]()

    def step(self, name: str) -> None:
        """Count, and keep the count where another process finds it."""
        self.steps[name] += 1

    def keep(self) -> None:
        """Write the counts."""
        self._file.write_text(json.dumps(self.steps))


class FaultyDisk(Disk):
    """Fails now and then: errors, short writes (legal), writes that claim more than they did (caught by reading back), no space."""

    def __init__(self, seed: int, rate: float) -> None:
        self._random, self._rate = random.Random(seed), rate

    def _fails(self, *errors: int) -> None:
        if self._random.random() < self._rate:
            raise OSError(self._random.choice(errors), "injected")

    def write(self, descriptor: int, data: memoryview) -> int:
        """Whole, short, lying, or not at all."""
        self._fails(errno.EIO, errno.ENOSPC)
        kind = self._random.random()
        if kind < self._rate:
            os.write(descriptor, data[: len(data) // 2])
            return len(data)
        if kind < 0.5:
            return os.write(descriptor, data[: max(1, len(data) // 3)])
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Or an error."""
        self._fails(errno.EIO)
        os.fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """Or an error."""
        self._fails(errno.EIO, errno.ENOSPC)
        super().rename(source, target)


def in_child(work: Callable[[int], None], *, kill_after_s: float | None = None) -> tuple[str, list[str]]:
    """Run `work` in a forked process: how it ended (`done`, `killed`, `failed`) and the lines it wrote to its pipe."""
    reader, writer = os.pipe()
    pid = _fork()
    if pid == 0:
        os.close(reader)
        status = 1
        try:
            work(writer)
            status = 0
        except Exception as error:
            expected = isinstance(error, OSError | ledger_errors())
            status = FAILED if expected else 1
            if not expected:
                traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    os.close(writer)
    said, code = _listen(reader, pid, kill_after_s)
    if os.WIFSIGNALED(code):
        return "killed", said
    return {0: "done", FAILED: "failed"}.get(os.waitstatus_to_exitcode(code), "broken"), said


def _fork() -> int:
    """`os.fork`, again while the machine has no process to give."""
    for _ in range(60):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(1.0)
    return os.fork()


def ledger_errors() -> Any:
    """What a night may end with when its disk fails."""
    import sqlite3

    from appliance.errors import ApplianceError

    return ApplianceError | sqlite3.Error


def _listen(reader: int, pid: int, kill_after_s: float | None) -> tuple[list[str], int]:
    """Everything a child says until it ends or its time is over, and its wait status."""
    deadline = time.monotonic() + kill_after_s if kill_after_s is not None else None
    said = b""
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([reader], [], [], left)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            deadline = None
            continue
        data = os.read(reader, 1 << 16)
        if not data:
            break
        said += data
    os.close(reader)
    _, code = os.waitpid(pid, 0)
    return said.decode().splitlines(), code


def look(folder: Path, *, ended: bool = False) -> dict[str, Any]:
    """What a reader finds in a night: rows, without the times that no two nights share; at its end, what a plain reader finds too."""

    def work(writer: int) -> None:
        import pyarrow.parquet as pq

        night = ledger.read(folder)
        plain: dict[str, list[int]] = (
            {}
            if not ended
            else {
                kind: [
                    n
                    for path in sorted((folder / f"{kind}s").glob("*.parquet"))
                    for n in pq.read_table(path, columns=[kind])[kind].to_pylist()
                ]
                for kind in ("run", "experiment")
            }
        )
        unreadable = ended and (len(plain["run"]) < len(night.runs) or len(plain["experiment"]) < len(night.experiments))
        runs = {run.run: [run.experiment, run.for_experiment, run.kind, run.seed, run.status, run.score] for run in night.runs}
        experiments = {}
        for row in night.experiments:
            used = [runs.get(number) for number in row.runs]
            experiments[row.experiment] = [
                *(row.parent, row.verdict.value, row.reason, row.asset_sha256, row.diff, row.incumbent, row.difference),
                *(row.interval_low, row.interval_high, row.p, row.noise_sd, row.noise_n, used),
            ]
        document = {
            "runs": runs,
            "experiments": experiments,
            "plain": plain,
            "unreadable": unreadable,
            "phase": night.state.phase,
            "confirmation": repr(night.state.confirmation),
            "cuts": len(night.state.cuts),
        }
        data = (json.dumps(document) + "\n").encode()
        while data:
            data = data[os.write(writer, data) :]

    how, said = in_child(work)
    if how != "done":
        return {"unreadable": True, "runs": {}, "experiments": {}, "plain": {"run": [], "experiment": []}, "phase": "?", "confirmation": ""}
    found: dict[str, Any] = json.loads("".join(said))
    return found


def check_durable(tally: Tally, folder: Path, told: set[str], seen: set[str], where: str) -> None:
    """After a kill: all that was told or seen before is there."""
    if not folder.exists():
        if told:
            tally.lost += len(told)
            tally.problems.append(f"{where}: the folder is gone")
        return
    found = look(folder)
    if found["unreadable"]:
        tally.unreadable += 1
        tally.problems.append(f"{where}: unreadable")
        return
    rows = {f"run {n}" for n in found["runs"]} | {f"experiment {n}" for n in found["experiments"]}
    missing = (told | seen) - rows
    if missing:
        tally.lost += len(missing)
        tally.problems.append(f"{where}: lost {sorted(missing)[:4]}")
    seen |= rows


def check_end(tally: Tally, folder: Path, undisturbed: dict[str, Any], where: str) -> None:
    """At the end of a night: the same rows and verdicts as undisturbed, each once, nothing left behind."""
    found = look(folder, ended=True)
    tally.nights += 1
    if found["unreadable"]:
        tally.unreadable += 1
        tally.problems.append(f"{where}: unreadable at the end")
        return
    for kind, numbers in found["plain"].items():
        extra = sum(Counter(numbers).values()) - len(set(numbers))
        tally.duplicated += extra
        if extra:
            tally.problems.append(f"{where}: {extra} {kind}s twice for a plain reader")
    expected, there = _work(undisturbed), _work(found)
    missing, more = expected - there, there - expected
    tally.lost += sum(missing.values())
    tally.duplicated += sum(more.values())
    if missing or more:
        tally.problems.append(f"{where}: runs missing {list(missing)[:3]}, more {list(more)[:3]}")
    differing = [n for n in undisturbed["experiments"] if undisturbed["experiments"][n] != found["experiments"].get(n)]
    differing += [n for n in found["experiments"] if n not in undisturbed["experiments"]]
    if differing or found["confirmation"] != undisturbed["confirmation"] or found["phase"] != "end":
        tally.verdicts_differ += max(1, len(differing))
        what = f"verdicts differ in experiments {differing[:5]}" if differing else f"phase {found['phase']}, another confirmation"
        tally.problems.append(f"{where}: {what}")
    left = [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name not in (".lock", ".reserve")]
    left += [path.name for path in folder.parent.glob(".*")]
    tally.left_behind += len(left)
    if left:
        tally.problems.append(f"{where}: left behind {left[:3]}")


def _work(found: dict[str, Any]) -> Counter[str]:
    """Runs by what they were, whatever their number; those that a kill interrupted count as not done."""
    return Counter(json.dumps(run) for run in found["runs"].values() if run[4] != "interrupted")


def one_night(
    tally: Tally, simulation: Simulation, undisturbed: dict[str, Any], attempts: Callable[[int], tuple[Disk, float | None]], where: str
) -> None:
    """Live a night through attempts that are killed or fail, until it has ended; check after each, and at the end."""
    told: set[str] = set()
    seen: set[str] = set()
    for attempt in range(2000):
        disk, kill_after_s = attempts(attempt)
        how, said = in_child(lambda writer, disk=disk: live(simulation, disk, writer), kill_after_s=kill_after_s)
        told.update(said)
        tally.kills += how == "killed"
        tally.failures += how == "failed"
        at = f"{where}, attempt {attempt} ({how})"
        if how == "broken":
            tally.problems.append(f"{at}: the night broke")
            tally.unreadable += 1
            return
        if how == "done":
            check_end(tally, simulation.folder, undisturbed, where)
            return
        check_durable(tally, simulation.folder, told, seen, at)
    tally.problems.append(f"{where}: never ended")
    tally.lost += 1


def fresh(work: Path, name: str, like: Simulation) -> Simulation:
    """The same night in a new folder of nights."""
    return replace(like, root=work / name)


def named_steps(tally: Tally, work: Path, like: Simulation, undisturbed: dict[str, Any], steps: dict[str, int], seed: int) -> None:
    """Nights killed at every named step: each step's first, a middle and its last time, in an order drawn by `seed`."""
    rng = random.Random(seed)
    waiting = [(step, nth) for step, count in steps.items() for nth in sorted({1, 2, min(5, count)}) if nth <= count]
    rng.shuffle(waiting)
    number = 0
    while waiting:
        before = len(waiting)

        def attempts(attempt: int) -> tuple[Disk, float | None]:
            if attempt >= 40 or not waiting:
                return Disk(), None
            step, nth = waiting.pop()
            return KillingDisk(step, nth), None

        simulation = fresh(work, f"steps-{number}", like)
        one_night(tally, simulation, undisturbed, attempts, f"named steps, night {number}")
        shutil.rmtree(simulation.root, ignore_errors=True)
        number += 1
        assert len(waiting) < before


def random_instants(
    tally: Tally, work: Path, like: Simulation, undisturbed: dict[str, Any], wanted: int, night_s: float, seed: int
) -> None:
    """Nights killed after a random time, until `wanted` kills have met one; the last of them goes on to its end."""
    rng = random.Random(seed)
    target = tally.kills + wanted
    number = 0
    while tally.kills < target:
        simulation = fresh(work, f"random-{number}", like)

        def attempts(_attempt: int) -> tuple[Disk, float | None]:
            if tally.kills >= target:
                return Disk(), None
            # A third of the instants fall into the opening of the ledger, where reconciliation works. A night that is only ever
            # granted what its opening takes would never end, so a tenth of them fall anywhere in it.
            longest = rng.choices((night_s / 8, 0.15, night_s), (0.6, 0.3, 0.1))[0]
            return Disk(), rng.uniform(0, longest)

        one_night(
            tally,
            simulation,
            undisturbed,
            attempts,
            f"random instants, night {number}",
        )
        shutil.rmtree(simulation.root, ignore_errors=True)
        print(f"  {wanted - max(0, target - tally.kills)} of {wanted} kills", flush=True)
        number += 1


def faults(tally: Tally, work: Path, like: Simulation, undisturbed: dict[str, Any], nights: int, seed: int) -> None:
    """Nights on a disk that fails."""
    for number in range(nights):
        simulation = fresh(work, f"faults-{number}", like)
        one_night(
            tally,
            simulation,
            undisturbed,
            lambda attempt, number=number: (FaultyDisk(seed * 1000 + number * 100 + attempt, 0.004), None),
            f"faults, night {number}",
        )
        shutil.rmtree(simulation.root, ignore_errors=True)


def full_disk(tally: Tally, work: Path, like: Simulation, undisturbed: dict[str, Any]) -> str:
    """A night on a file system of its own that is too small, given a little more room each time the night stops. What was done."""
    mount = work / "small"
    mount.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(mount).encode(), b"tmpfs", 0, b"size=24m") != 0:
        return f"no small file system could be mounted ({os.strerror(ctypes.get_errno())}): a full disk was only injected"
    try:
        ballast = [mount / f"ballast-{n}" for n in range(200)]
        for path in ballast:
            with contextlib.suppress(OSError):
                path.write_bytes(bytes(128 * 1024))
        simulation = fresh(mount, "nights", like)
        free: list[int] = []

        def attempts(attempt: int) -> tuple[Disk, float | None]:
            for path in [path for path in ballast if path.exists()][:2]:
                path.unlink()
            free.append(shutil.disk_usage(mount).free)
            return Disk(), None

        before = tally.failures
        one_night(tally, simulation, undisturbed, attempts, "full disk")
        return f"a real full disk stopped the night {tally.failures - before} times"
    finally:
        libc.umount2(str(mount).encode(), 2)


def main() -> int:
    """Run the series that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=300, help="kills at random instants")
    parser.add_argument("--fault-nights", type=int, default=6)
    parser.add_argument("--proposals", type=int, default=PROPOSALS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--series", default="steps,random,faults,full", help="which of steps, random, faults, full")
    parser.add_argument("--folder", type=Path, default=MEMORY if MEMORY.is_dir() else None, help="where the nights live")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-", dir=options.folder) as name:
        os.environ["APPLIANCE_STATE"] = str(Path(name) / "state")
        tally = _series(options, Path(name))
    for problem in tally.problems[:20]:
        print(f"PROBLEM {problem}")
    counts = {
        name: getattr(tally, name)
        for name in ("kills", "lost", "duplicated", "unreadable", "verdicts_differ", "left_behind", "failures", "nights")
    }
    print(json.dumps(counts))
    return int(any(counts[name] for name in ("lost", "duplicated", "unreadable", "verdicts_differ", "left_behind")))


def _undisturbed(night: Simulation, count: Path) -> dict[str, Any]:
    """What a night that nobody touches comes to; how often it comes to each step is in `count`."""

    def work(writer: int) -> None:
        disk = CountingDisk(count)
        live(night, disk, writer)
        disk.keep()

    if in_child(work)[0] != "done":
        raise SystemExit("the undisturbed night did not end")
    return look(night.folder)


def _series(options: argparse.Namespace, work: Path) -> Tally:
    steady = Simulation(root=work / "steady", replay=write_proposals(work / "proposals", options.proposals))
    count = work / "steps.json"
    visits = [int(n) for n, run in _undisturbed(steady, count)["runs"].items() if run[0] == 0 and run[2] == "rebaseline"]
    like = replace(steady, root=work / "calm", moves_at=min(visits, default=None))  # so that kills meet a new calibration too
    began = time.monotonic()
    undisturbed, steps = _undisturbed(like, count), json.loads(count.read_text())
    night_s = time.monotonic() - began
    size = f"{len(undisturbed['runs'])} runs, {len(undisturbed['experiments'])} experiments, {len(steps)} named steps"
    print(f"undisturbed night: {size}, {night_s:.1f} s", flush=True)
    tally = Tally()
    for name in options.series.split(","):
        began, kills, failures = time.monotonic(), tally.kills, tally.failures
        note = ""
        if name == "steps":
            named_steps(tally, work, like, undisturbed, steps, options.seed)
        elif name == "random":
            random_instants(tally, work, like, undisturbed, options.kills, night_s, options.seed)
        elif name == "faults":
            faults(tally, work, like, undisturbed, options.fault_nights, options.seed)
        elif name == "full":
            note = full_disk(tally, work, like, undisturbed)
        counts = f"{tally.kills - kills} kills, {tally.failures - failures} failed writes that stopped it"
        print(f"{name}: {counts}, {time.monotonic() - began:.0f} s. {note}", flush=True)
    return tally


if __name__ == "__main__":
    sys.exit(main())
