"""A night's bundle handed to a stranger: what does `appliance reproduce` say in a fresh clone elsewhere on the disk?

Four bundles, from one night (`--night FOLDER`, else one is made):

- as it is                                       → reproduced
- one winning constant changed, properly signed  → not reproduced
- one byte flipped                               → refused
- declared for another device, properly signed   → not comparable

The clone has an environment, a state, a cache and a folder of its own: text is fetched and prepared anew, the profile is measured anew, and
the image is the one that its own files name. A table, then one line of JSON with `right` and `cases`; exit 1 where one is wrong.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance import exchange, ledger, tasks
from appliance.exchange.bundle import SUMS, pack
from appliance.records import Constant, Device, NightPlan, Task
from appliance.sandbox.runtime import runtime

REPOSITORY = Path(__file__).resolve().parent.parent
FACTORS = (8, 4, 2)
"""By how much a constant is spoilt: powers of two keep what has to divide what."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One bundle and what is to be said of it."""

    name: str
    file: Path
    expected: str
    exit_code: int
    pairs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What was said."""

    got: str
    exit_code: int
    seconds: float
    sentence: str


def must(*command: str | Path) -> None:
    """Run a step, its output among the progress.

    Raises SystemExit where it fails.
    """
    done = subprocess.run([str(part) for part in command], check=False, stdout=sys.stderr)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:4]))} … ended with exit code {done.returncode}")


def told(line: str) -> None:
    """Progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def resigned(raw: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """A bundle with other content, whole in every other respect."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        files = {info.name: (archive.extractfile(info) or io.BytesIO()).read() for info in archive}
    del files[SUMS]
    change(files)
    return pack(files)


def spoilt(task: Task, baseline: Mapping[str, str], winner: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The winner with one of the constants that it won by moved far, within what the task allows; and what was done."""
    before, now = tasks.read_constants(baseline), tasks.read_constants(winner)
    won_by = [name for name in task.constants if now[name] != before.get(name)]
    moved = [(factor, name, value) for name in won_by for factor, value in [_moved(task, name, now[name])] if factor > 1]
    if moved:
        _, name, value = max(moved, key=lambda one: one[0])
    elif won_by:
        name, value = won_by[0], before[won_by[0]]
    else:
        raise SystemExit("the winner has the baseline's constants: no constant of it can be changed")
    return tasks.replace_constants(dict(winner), {name: value}), f"{name} = {value} instead of {now[name]}"


def _moved(task: Task, name: str, value: Constant) -> tuple[int, Constant]:
    """The farthest that a number may be moved, and the factor; factor 1 where it cannot."""
    allowed = task.constants[name]
    if isinstance(value, bool | str) or allowed.low is None or allowed.high is None or value == 0:
        return 1, value
    for factor in FACTORS:
        for far in (value * factor, value / factor):
            whole = int(far) if isinstance(value, int) else far
            if whole == far and allowed.low <= far <= allowed.high:
                return factor, whole
    return 1, value


def bundles(raw: bytes, folder: Path, pairs: int) -> list[Case]:
    """The four files."""
    opened = exchange.read_bundle(raw, "night")
    winner, what = spoilt(opened.plan.task, opened.baseline, opened.winner)
    told(f"the changed winner has {what}")

    def another_winner(files: dict[str, bytes]) -> None:
        files |= {f"winner/{name}": text.encode() for name, text in winner.items()}
        manifest = msgspec.structs.replace(opened.manifest, winner_sha256=ledger.asset_sha256(winner))
        files["manifest.json"] = msgspec.json.encode(manifest)

    def another_device(files: dict[str, bytes]) -> None:
        device = Device(kind=opened.manifest.device.kind, index=0, name="Another Device", slug="another-device")
        plan: NightPlan = msgspec.structs.replace(opened.plan, device=device)
        files["manifest.json"] = msgspec.json.encode(msgspec.structs.replace(opened.manifest, device=device))
        files["plan.json"] = msgspec.json.encode(plan)

    flipped = bytearray(raw)
    flipped[raw.index(next(iter(opened.winner.values())).encode()) + 10] ^= 1
    contents = {
        "as it is": (raw, "reproduced", 0, pairs),
        "one constant changed": (resigned(raw, another_winner), "not reproduced", 1, pairs),
        "one byte flipped": (bytes(flipped), "refused", 2, pairs),
        "another device": (resigned(raw, another_device), "not comparable", 0, 2),
    }
    cases = []
    for name, (content, expected, exit_code, runs) in contents.items():
        file = folder / f"{name.replace(' ', '-')}.bundle.tar"
        file.write_bytes(content)
        cases.append(Case(name=name, file=file, expected=expected, exit_code=exit_code, pairs=runs))
    return cases


def a_night(options: argparse.Namespace, work: Path) -> Path:
    """A night whose winner can be claimed; a second and a third try where one came to nothing.

    Raises SystemExit where none does.
    """
    for attempt in range(options.attempts):
        told(f"a night of {options.hours:g} h, try {attempt + 1} of {options.attempts}")
        command = [sys.executable, "-m", "appliance", "overnight", "--json", "--hours", f"{options.hours:g}", "--task", options.task]
        command += ["--sandbox", options.sandbox, "--nights", str(work / "nights")]
        command += ["--preset", options.preset] if options.preset else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            told(f"the night ended with exit code {done.returncode}")
            continue
        folder = Path(json.loads(done.stdout)["folder"])
        confirmation = ledger.read(folder).state.confirmation
        if confirmation and any(estimate.split == "test" and estimate.holds for estimate in confirmation.estimates):
            return folder
        told("its winner does not hold on test: nothing to claim")
    raise SystemExit("no night came to a winner that holds on test: give one with --night FOLDER")


def a_clone(folder: Path) -> Path:
    """The last commit of this repository with an environment of its own; its `appliance`."""
    told(f"cloning into {folder}")
    must("git", "clone", "--quiet", REPOSITORY, folder)
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    must("make", "--silent", "--directory", folder, ".venv/.ready", f"PYTHON={python}")
    return folder / ".venv" / "bin" / "appliance"


def answer(case: Case, appliance: Path, sandbox: str, environment: Mapping[str, str]) -> Answered:
    """Ask the clone."""
    command = [str(appliance), "reproduce", str(case.file), "--runs", str(case.pairs), "--sandbox", sandbox, "--json"]
    command += ["--junit", str(case.file.with_suffix(".xml")), "--report", str(case.file.with_suffix(".md"))]
    began, last = time.monotonic(), ""
    with (
        case.file.with_suffix(".json").open("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.PIPE, text=True, env=dict(environment), cwd=case.file.parent) as asked,
    ):
        assert asked.stderr is not None
        for line in asked.stderr:
            last = line.strip()
            print(f"    {last}", flush=True)
        asked.wait()
        said.seek(0)
        text = said.read()
    seconds = time.monotonic() - began
    refused = asked.returncode == 2 and "was changed after it was made" in last
    document = json.loads(text) if text else {"answer": "refused" if refused else "error", "sentence": last}
    return Answered(got=document["answer"], exit_code=asked.returncode, seconds=seconds, sentence=document["sentence"])


def environment_of(work: Path, sandbox: str) -> dict[str, str]:
    """The stranger's: state and cache of their own; only the interpreter of the process sandbox, gigabytes of packages, is shared."""
    own = {name: str(work / name.rpartition("_")[2].lower()) for name in ("APPLIANCE_STATE", "APPLIANCE_CACHE", "APPLIANCE_NIGHTS")}
    shared = {"APPLIANCE_PYTHON": str(runtime(told))} if sandbox == "process" else {}
    ours = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return {**ours, **own, **shared}


def main() -> int:
    """Make or take a night, bundle it, ask four times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--night", type=Path, metavar="FOLDER", help="a finished night; default: one is made")
    parser.add_argument("--hours", type=float, default=0.3, help="of the night that is made")
    parser.add_argument("--attempts", type=int, default=3, help="nights to make until one has a winner that holds on test")
    parser.add_argument("--task", default="trainer", metavar="NAME|FOLDER", help="of the night that is made")
    parser.add_argument("--preset", help="of the night that is made; default: the device's")
    parser.add_argument("--sandbox", choices=["docker", "process"], default="docker")
    parser.add_argument("--runs", type=int, default=4, help="fresh pairs per reproduction")
    options = parser.parse_args()
    if subprocess.run(["git", "-C", str(REPOSITORY), "status", "--porcelain"], capture_output=True, text=True, check=True).stdout:
        told("note: the clone has the last commit, this checkout has changes besides")
    with tempfile.TemporaryDirectory(prefix="reproduce-bench-") as name:
        work = Path(name)
        night = options.night or a_night(options, work)
        told(f"bundling {night}")
        file = work / "night.bundle.tar"
        must(sys.executable, "-m", "appliance", "bundle", night, "--out", file)
        cases = bundles(file.read_bytes(), work, options.runs)
        stranger = work / "stranger"
        stranger.mkdir()
        environment = environment_of(stranger, options.sandbox)
        appliance = a_clone(stranger / "clone")
        answers = []
        for case in cases:
            told(f"{case.name}: expecting {case.expected}")
            answers.append(answer(case, appliance, options.sandbox, environment))
            told(f"{answers[-1].got}: {answers[-1].sentence}")
    right = [a.got == c.expected and a.exit_code == c.exit_code for c, a in zip(cases, answers, strict=True)]
    print(f"\n{'bundle':<22} {'expected':<16} {'got':<16} {'exit':>4} {'seconds':>8}")
    for case, given, good in zip(cases, answers, right, strict=True):
        print(f"{case.name:<22} {case.expected:<16} {given.got:<16} {given.exit_code:>4} {given.seconds:>8.1f}{'' if good else '  WRONG'}")
    seconds = {case.name: round(given.seconds, 1) for case, given in zip(cases, answers, strict=True)}
    print(json.dumps({"right": sum(right), "cases": len(cases), "night": night.name, "runs": options.runs, "seconds": seconds}))
    return int(not all(right))


if __name__ == "__main__":
    sys.exit(main())
