"""`make bench-kill-night`: a real night whose host process, and whose engine, die again and again; is anything lost, or left?

    python bench/kill_night.py [--hours 0.3] [--host-kills 10] [--kill-engine 3] [--task FOLDER] [--preset NAME] [--sandbox docker]

Begins a night of a task of seconds a run (`--task trainer --preset cpu-quick --hours 1` for the real one), kills its process with SIGKILL
at random instants, a quarter of them while it opens, and goes on with `--resume` each time. With `--kill-engine` dockerd is killed as well
and started again through docker/engine.sh up to half a minute later; the night must get over that by itself. An engine that runs already
may be others' too: it is killed only with `--engine-is-mine`.

After every kill, each row that was ever seen is there, unchanged to the byte. At the end the rows are those of the journal, each once, no
run was measured twice, and the verdicts follow from the rows (`gb10_night.problems`). Then nothing may be left: containers, volumes,
mounts, processes (this one adopts its orphans), and files in the night's own temporary folder, which is empty before.

Prints a line a kill. Last line: JSON. Exit 1 where something is lost, changed, doubled, unreadable or left, or the night did not end.
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from gb10_night import problems

from appliance import ledger, paths
from appliance.errors import ApplianceError, PrerequisiteError, UsageError
from appliance.ledger import rows
from appliance.ledger.journal import Journal
from appliance.sandbox import engine, keeper
from appliance.sandbox.sweep import OURS

CURVE = str(paths.share("examples") / "curve")
ENGINE_PID = Path("/var/run/docker.pid")
CONTAINERD_PID = Path("/var/run/docker/containerd/containerd.pid")
ENGINE_PROCESSES = {"dockerd", "containerd"}
LONGEST_DOWN_S = 30.0
LONGEST_SETUP_S = 3600.0
OPENING_S = 6.0
SETTLE_S = 15.0
"""For killed processes to be gone."""
POLL_S = 0.2
LIVES = 5
"""Times that a night may cut itself short at the end: its engine may need a while."""


@dataclass(kw_only=True, slots=True)
class Night:
    """The night's process: begun once, gone on with after each death."""

    root: Path
    temporary: Path
    begin: list[str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path | None:
        """None before it is made."""
        return next(iter(ledger.list_nights(self.root)), None)

    @property
    def log(self) -> Path:
        """What all its processes said."""
        return self.root.parent / "night.log"

    def start(self) -> None:
        """Begin, or go on."""
        arguments = ["--resume", self.folder.name] if self.folder else self.begin
        command = [sys.executable, "-m", "appliance", "overnight", "--nights", str(self.root), *arguments]
        environment = {**os.environ, "TMPDIR": str(self.temporary), "ENGINE": "never"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=environment)

    def runs_for(self, seconds: float) -> bool:
        """Wait; whether it still runs then."""
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is None

    def opened(self) -> Path:
        """Its folder, once it has one.

        Raises:
            RuntimeError: it ended, or took an hour over it.
        """
        until = time.monotonic() + LONGEST_SETUP_S
        while (folder := self.folder) is None:
            if not self.runs_for(POLL_S) or time.monotonic() > until:
                raise RuntimeError(f"the night did not begin:\n{self.log.read_text()[-2000:]}")
        return folder

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Watch:
    """Every row that was ever seen, and what became of it."""

    seen: dict[str, bytes] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)

    def look(self, folder: Path) -> tuple[int, int]:
        """Runs and experiments that are there now."""
        now: dict[str, bytes] = {}
        for kind in rows.KINDS:
            found = rows.read(kind, folder)
            self.unreadable |= {f"{path.name}: {why}" for path, why in found.damaged.items()}
            now |= {f"{kind.key} {number}": msgspec.json.encode(row) for number, row in found.rows.items()}
        self.lost |= self.seen.keys() - now.keys()
        self.changed |= {name for name in self.seen.keys() & now.keys() if self.seen[name] != now[name]}
        self.seen |= now
        return tuple(sum(name.startswith(kind.key) for name in now) for kind in rows.KINDS)  # type: ignore[return-value]


def against_journal(folder: Path) -> tuple[list[str], list[str]]:
    """Of a night that has ended: what the journal knows and no file holds, or was under way; what a file holds twice or the journal not."""
    journal = Journal(folder / "journal.db", read_only=True)
    lost, more = [], []
    try:
        for kind in rows.KINDS:
            files = sorted((folder / f"{kind.key}s").glob("*.parquet"))
            numbers = Counter(n for path in files for n in pq.read_table(path, columns=[kind.key])[kind.key].to_pylist())
            recorded = journal.recorded(kind.key)
            lost += [f"{kind.key} {n}" for n in recorded - numbers.keys()]
            lost += [f"{kind.key} {item.number}" for item in journal.open_items(kind.key) if (kind.key, item.state) != ("run", "planned")]
            more += [f"{kind.key} {n}" for n, count in numbers.items() if count > 1 or n not in recorded]
    finally:
        journal.close()
    return lost, more


def measured_twice(folder: Path) -> list[str]:
    """Runs that were done again although they were done."""
    runs = ledger.read(folder).runs
    done = Counter((run.kind, run.experiment, run.for_experiment, run.dataset, run.seed) for run in runs if run.status == "ok")
    return [f"{kind} of {experiment}, seed {seed}" for (kind, experiment, _, _, seed), count in done.items() if count > 1]


def adopt_orphans() -> None:
    """Processes that lose their parent become this one's, so that none is overlooked. prctl(2), PR_SET_CHILD_SUBREAPER."""
    ctypes.CDLL(None, use_errno=True).prctl(keeper.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def belongings(temporary: Path, *, docker: bool) -> set[str]:
    """Everything there is now that a night could have made: containers, volumes, mounts, processes, temporary files."""
    found = {f"file {path.name}" for path in temporary.iterdir()}
    for pid in keeper.descendants(os.getpid()):
        with contextlib.suppress(OSError):
            name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
            if rest.split()[0] not in {"Z", "X"} and name not in ENGINE_PROCESSES:
                found.add(f"process {name}")
    for line in Path("/proc/self/mounts").read_text().splitlines():
        at = line.split()[1]
        if at.startswith(str(temporary)) or any(part in at for part in (OURS, "/overlay2/", "/overlayfs/", "/volumes/", "/containers/")):
            found.add(f"mount {at}")
    if docker:
        with contextlib.closing(engine.connect()) as client, engine.answering():
            found |= {f"container {one.name}" for one in client.containers.list(all=True, filters={"label": OURS}, ignore_removed=True)}
            found |= {f"volume {one.name}" for one in client.volumes.list(filters={"label": OURS})}
    return found


def left(before: set[str], temporary: Path, *, docker: bool) -> list[str]:
    """What is there that was not, when everything has had the time to be gone."""
    until = time.monotonic() + SETTLE_S
    while (more := belongings(temporary, docker=docker) - before) and time.monotonic() < until:
        time.sleep(POLL_S)
    return sorted(more)


def own_engine(*, mine: bool) -> None:
    """See that the engine is one that may be killed; start one where none answers.

    Raises:
        UsageError: one runs that others may use.
        PrerequisiteError: none can be started.
    """
    try:
        engine.connect().close()
    except PrerequisiteError:
        return start_engine()
    if not mine:
        raise UsageError("an engine runs that this benchmark did not start: stop it, or say --engine-is-mine where nobody else uses it")
    return None


def start_engine() -> None:
    """Through docker/engine.sh, which does nothing where one answers."""
    if subprocess.run([paths.share("docker") / "engine.sh"], check=False).returncode:
        raise PrerequisiteError("no engine could be started: see the lines above")


def kill_engine(down_s: float) -> None:
    """SIGKILL to dockerd; it is back after so many seconds, or when its supervisor likes."""
    pid = int(ENGINE_PID.read_text())
    if (name := Path(f"/proc/{pid}/comm").read_text().strip()) != "dockerd":
        raise UsageError(f"{ENGINE_PID} names process {pid}, which is {name}: remove the file")
    containerd = [int(CONTAINERD_PID.read_text())] if CONTAINERD_PID.exists() else []
    os.kill(pid, signal.SIGKILL)
    for ended in (pid, *containerd):  # the second dies with the first
        _reaped(ended)
    time.sleep(down_s)
    start_engine()


def _reaped(pid: int, wait_s: float = 10.0) -> None:
    """Take leave of an orphan that was adopted: dockerd holds its own zombie, or its containerd's, for one that runs."""
    until = time.monotonic() + wait_s
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < until:
            time.sleep(0.1)


def killed(night: Night, watch: Watch, options: argparse.Namespace) -> Counter[str]:
    """Live the night with its kills; how many of each there were."""
    chance = random.Random(options.seed)
    victims = ["host"] * options.host_kills + ["engine"] * options.kill_engine
    chance.shuffle(victims)
    share_s = 0.7 * options.hours * 3600 / (len(victims) + 1)
    done: Counter[str] = Counter()
    began = time.monotonic()
    night.start()
    folder = night.opened()
    print(f"night {folder.name}, its log {night.log}\n{'#':>3} {'at s':>6}  {'killed':<7} {'runs':>5} {'experiments':>12}", flush=True)
    for number, victim in enumerate(victims, 1):
        wait_s = chance.uniform(0.0, OPENING_S) if victim == "host" and chance.random() < 0.25 else chance.uniform(0.3, 1.7) * share_s
        if not night.runs_for(wait_s):
            if ledger.read(folder).state.phase == "end":
                break
            night.start()  # it ended itself, as it may where its engine stays away
        if victim == "host":
            night.kill()
        else:
            kill_engine(chance.uniform(0.0, LONGEST_DOWN_S))
        done[victim] += 1
        runs, experiments = watch.look(folder)
        print(f"{number:>3} {time.monotonic() - began:>6.0f}  {victim:<7} {runs:>5} {experiments:>12}", flush=True)
        if victim == "host":
            night.start()
    return done


def ended(night: Night, watch: Watch, hours: float) -> Path:
    """Let it come to its end, gone on with where it cuts itself short; its folder."""
    folder = night.opened()
    for _ in range(LIVES):
        if night.runs_for(2 * hours * 3600 + LONGEST_SETUP_S):
            break
        watch.look(folder)
        if ledger.read(folder).state.phase == "end":
            break
        night.start()
    return folder


def summary(folder: Path, watch: Watch, kills: Counter[str], remains: list[str]) -> dict[str, object]:
    """The figures; every fault is printed."""
    missing, more = against_journal(folder)
    night = ledger.read(folder)
    faults = {
        "lost": sorted({*watch.lost, *missing}),
        "changed": sorted(watch.changed),
        "duplicated": [*more, *measured_twice(folder)],
        "unreadable": sorted(watch.unreadable),
        "left_behind": remains + [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name not in (".lock", ".reserve")],
        "problems": problems(night),
    }
    for name, lines in faults.items():
        for line in lines:
            print(f"PROBLEM {name}: {line}")
    return {
        "host_kills": kills["host"],
        "engine_kills": kills["engine"],
        **{name: len(lines) for name, lines in faults.items()},
        "phase": night.state.phase,
        "runs": len(night.runs),
        "experiments": len(night.experiments),
        "interrupted": sum(run.status == "interrupted" for run in night.runs),
        "sandbox_failures": sum(run.sandbox_failures for run in night.runs),
        "resumed": len(night.state.cuts),
        "confirmation": night.state.confirmation.status if night.state.confirmation else None,
    }


def run(options: argparse.Namespace, work: Path) -> int:
    """The benchmark in a folder of its own."""
    docker = options.sandbox == "docker"
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    for folder in (work, temporary):
        folder.chmod(0o755)  # the sandbox's user is another
    if options.kill_engine:
        own_engine(mine=options.engine_is_mine)
    adopt_orphans()
    begin = ["--task", options.task, "--hours", str(options.hours), "--sandbox", options.sandbox, "--device", "cpu"]
    begin += ["--seed", str(options.seed), *(["--preset", options.preset] if options.preset else [])]
    night, watch = Night(root=work / "nights", temporary=temporary, begin=begin), Watch()
    before = belongings(temporary, docker=docker)
    try:
        kills = killed(night, watch, options)
        folder = ended(night, watch, options.hours)
    finally:
        if night.process is not None and night.process.poll() is None:
            night.process.send_signal(signal.SIGINT)
            night.process.wait()
    figures = summary(folder, watch, kills, left(before, temporary, docker=docker))
    if kills != Counter(host=options.host_kills, engine=options.kill_engine):
        print("the night ended before it was killed so often: give it more --hours")
    print(json.dumps(figures))
    whole = figures["phase"] == "end" and kills == Counter(host=options.host_kills, engine=options.kill_engine)
    return int(not whole or any(figures[name] for name in ("lost", "changed", "duplicated", "unreadable", "left_behind", "problems")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0.3)
    parser.add_argument("--host-kills", type=int, default=10)
    parser.add_argument("--kill-engine", type=int, default=0, metavar="TIMES", help="kill dockerd too, so often")
    parser.add_argument("--engine-is-mine", action="store_true", help="nobody else uses the engine that runs here")
    parser.add_argument("--task", default=CURVE)
    parser.add_argument("--preset", default=None)
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="an empty one, to keep the night and its log in")
    options = parser.parse_args()
    if options.kill_engine and options.sandbox != "docker":
        parser.error("--kill-engine needs --sandbox docker")
    with tempfile.TemporaryDirectory(prefix="kill-night-") as name:
        work = (options.folder or Path(name)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        try:
            return run(options, work)
        except ApplianceError as error:
            print(f"bench-kill-night: {error}", file=sys.stderr)
            return error.exit_code
        except RuntimeError as error:
            print(f"bench-kill-night: {error}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
