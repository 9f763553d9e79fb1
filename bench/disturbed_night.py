"""A real CPU night with a second process loading every core in the middle: those runs come out invalid, and no verdict changes.

    python bench/disturbed_night.py [--hours 0.4] [--load-s 300] [--after-s 200] [--nights FOLDER]

Begins a night in a process of its own, waits until it searches and `--after-s` seconds more, then loads all cores for `--load-s` seconds.
Afterwards it asks the rows two things. Was every run invalid that trained under the load for most of its budget and lost throughput, and
none that did not meet it? And are the verdicts those that the judge gives when every run of the load is left out? Nothing else may run on
the machine: what disturbs it besides counts as a fault here; what its hypervisor takes, which this load cannot cause, is told apart. With
`--nights`, a night that is there with its load.json is asked again.

Prints a table of the runs around the load. Last line: JSON. Exit 1 where an answer is no. Takes `--hours` and the set-up before them.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from appliance import judge, ledger
from appliance.cli import show
from appliance.records import Experiment, Night, Reason, Run, Verdict
from appliance.workflows.belief import restored
from appliance.workflows.runs import throughput_of

LOST = 0.98
"""Below this share of the calm throughput of the same asset a run lost some; the judge calls less than 2 % nothing."""
MOST = 0.5
"""Share of a budget."""
POLL_S = 2.0
LONGEST_SETUP_S = 3600.0
BEFORE_THE_BUDGET = ("prepare", "create", "import", "startup", "mark")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A run beside the load."""

    run: Run
    begin: datetime
    """Of its budget."""
    end: datetime
    loaded: float
    """Share of its budget under the load."""
    throughput: float | None
    """Of its asset's calm median; None where one of them is unknown."""

    @property
    def under_load(self) -> bool:
        """Trained there for most of its budget, and ended in a way that a load can change."""
        return self.loaded >= MOST and (self.run.status in ("ok", "invalid") or self.run.reason is Reason.TIMEOUT)

    @property
    def must_be_invalid(self) -> bool:
        """Where nobody knows what the asset reaches when it is calm, a loaded machine says nothing about it."""
        return self.under_load and (self.throughput is None or self.throughput < LOST)


def look(night: Night, load: tuple[datetime, datetime]) -> list[Seen]:
    """Every run that had a budget, in order of time."""
    windows = {run.run: _window(run) for run in night.runs if run.budget_s}
    shares = {number: _overlap(window, load) for number, window in windows.items()}
    name = throughput_of(night.plan.task) or ""
    calm: dict[tuple[str, str | None], list[float]] = {}
    for run in night.runs:
        if run.status == "ok" and shares.get(run.run) == 0 and name in run.observables:
            calm.setdefault((run.asset_sha256, run.dataset), []).append(run.observables[name])
    seen = []
    for run in night.runs:
        if run.run in windows:
            usual, reached = calm.get((run.asset_sha256, run.dataset)), run.observables.get(name)
            share = reached / statistics.median(usual) if usual and reached is not None else None
            begin, end = windows[run.run]
            seen.append(Seen(run=run, begin=begin, end=end, loaded=shares[run.run], throughput=share))
    return seen


def _window(run: Run) -> tuple[datetime, datetime]:
    before = sum(run.phases.get(name, 0.0) for name in BEFORE_THE_BUDGET) or (run.create_s or 0.0) + (run.startup_s or 0.0)
    begin = datetime.fromisoformat(run.started_at) + timedelta(seconds=before)
    return begin, begin + timedelta(seconds=run.budget_s or 0.0)


def _overlap(window: tuple[datetime, datetime], load: tuple[datetime, datetime]) -> float:
    both = (min(window[1], load[1]) - max(window[0], load[0])).total_seconds()
    return max(0.0, both) / (window[1] - window[0]).total_seconds()


def verdicts(night: Night, assets: Mapping[str, Mapping[str, str]], left_out: Collection[int] = ()) -> dict[int, Verdict | None]:
    """What the judge says of each experiment from the rows alone; None where what is left of them is too little to say.

    assets: every experiment's and the baseline's files by sha256. left_out: numbers of runs that are taken as never made.
    """
    runs = [run for run in night.runs if run.run not in left_out]
    found: dict[int, Verdict | None] = {}
    for n, experiment in enumerate(night.experiments):
        number = experiment.experiment
        mine = {*experiment.runs, *experiment.runs_invalid, *(run.run for run in night.runs if run.for_experiment == number)}
        if experiment.verdict is Verdict.REFUSED:
            continue
        known = [run for run in runs if run.run <= max(mine, default=0)]
        found[number] = _verdict(night, experiment, known, night.experiments[:n], assets)
    return found


def _verdict(
    night: Night, experiment: Experiment, runs: list[Run], earlier: list[Experiment], assets: Mapping[str, Mapping[str, str]]
) -> Verdict | None:
    ended = next((run.status for run in runs if run.run in experiment.runs and run.status in ("failed", "rejected")), None)
    if ended is not None:
        return Verdict(ended)
    last = max((run.run for run in runs), default=0)
    calibrations = [calibration for calibration in night.state.calibrations if calibration["first_run"] <= last]
    belief = restored(runs, earlier, calibrations, None)
    number, parent = experiment.experiment, experiment.parent
    screens, noise, reference = belief.screens(number), belief.noise(), belief.before(parent, number)
    candidate, incumbent = belief.fresh(number), belief.beside(parent, number)
    if not screens or noise is None or not reference or len(candidate) - len(incumbent) not in (0, 1):
        return None
    shas = {0: night.plan.baseline_sha256, **{one.experiment: one.asset_sha256 for one in earlier}}
    simpler = judge.simpler(assets[shas[parent]], assets[experiment.asset_sha256])
    step = judge.next_step(night.plan.task.metric, screens[0], reference, candidate, incumbent, noise, simpler=simpler)
    if step.verdict is None and (experiment.reason or "").startswith("undecided"):
        return Verdict.WITHIN_NOISE
    return step.verdict


def given_up(experiment: Experiment) -> bool:
    """Whether the night found no calm for it, and said so."""
    return experiment.verdict is Verdict.FAILED and "disturbed_" in (experiment.reason or "")


def answer(night: Night, seen: list[Seen], assets: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    """The figures, and under `problems` one line for each answer that is no."""
    due = [one for one in seen if one.must_be_invalid]
    outside = [one for one in seen if one.loaded == 0]
    counted = [one.run.run for one in due if one.run.status != "invalid"]
    invalid = [one.run for one in outside if one.run.status == "invalid"]
    accused = [run.run for run in invalid if run.reason is not Reason.DISTURBED_STEAL]
    judged = {one.experiment: one for one in night.experiments if one.verdict is not Verdict.REFUSED}
    again = verdicts(night, assets)
    without = verdicts(night, assets, {one.run.run for one in seen if one.under_load})
    unexplained = [number for number, one in judged.items() if again[number] != one.verdict and not given_up(one)]
    changed = [number for number, one in judged.items() if without[number] not in (None, one.verdict) and not given_up(one)]
    undecided = [number for number, one in judged.items() if without[number] is None and not given_up(one)]
    problems = [f"run {number} lost throughput under the load and was counted" for number in counted]
    problems += [f"run {number} never met the load and is invalid" for number in accused]
    problems += [f"the verdict on experiment {number} is not the one its rows give" for number in unexplained]
    problems += [f"the verdict on experiment {number} changes without the runs of the load" for number in changed]
    problems += [f"the verdict on experiment {number} stands on runs of the load" for number in undecided]
    problems += [] if due else ["no run met the load: there is nothing to see"]
    return {
        "runs": len(seen),
        "loaded_and_slower": len(due),
        "loaded_and_slower_invalid": len(due) - len(counted),
        "outside": len(outside),
        "outside_invalid": len(accused),
        "hypervisor_took_the_cores": len(invalid) - len(accused),
        "experiments": len(judged),
        "given_up": sum(given_up(one) for one in judged.values()),
        "verdicts_changed": len(changed) + len(undecided),
        "winner": night.state.incumbent,
        "problems": problems,
    }


def table(night: Night, seen: list[Seen], load: tuple[datetime, datetime]) -> None:
    """The runs around the load; seconds count from the night's start."""
    start = datetime.fromisoformat(night.plan.started_at)

    def at(moment: datetime) -> str:
        return f"{(moment - start).total_seconds():.0f}"

    def share(value: float | None) -> str | None:
        return f"{value:.0%}" if value is not None else None

    rows = [
        (
            one.run.run,
            f"{one.run.kind} of {one.run.experiment}",
            at(one.begin),
            at(one.end),
            one.run.status,
            one.run.reason,
            share(one.run.telemetry.cpu_others_share),
            share(one.throughput),
            share(one.loaded) if one.loaded else "",
        )
        for one in seen
    ]
    print(f"loaded from {at(load[0])} to {at(load[1])} s")
    show.table(("run", "what", "from s", "to s", "status", "reason", "others", "throughput", "loaded"), rows)


def burn(seconds: float) -> None:
    """Keep every core that this process may use busy."""
    until = time.monotonic() + seconds
    child = 1
    for _ in range(len(os.sched_getaffinity(0)) - 1):
        child = child and os.fork()
    while time.monotonic() < until:
        pass
    if not child:
        os._exit(0)


def disturbed(root: Path, options: argparse.Namespace) -> None:
    """The night and its load; leaves the night and load.json in `root`.

    Raises:
        RuntimeError: the night ended otherwise than well; the end of what it said.
    """
    log = root / "night.log"
    command = [sys.executable, "-m", "appliance", "overnight", "--hours", str(options.hours), "--preset", options.preset]
    command += ["--device", "cpu", "--seed", str(options.seed), "--nights", str(root)]
    with log.open("w") as said, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said) as night:
        try:
            _wait(night, log, "== search", LONGEST_SETUP_S)
            time.sleep(options.after_s)
            began = datetime.now(UTC)
            load = [sys.executable, __file__, "--burn", str(options.load_s)]
            with subprocess.Popen(load, start_new_session=True) as burning:
                try:
                    burning.wait()
                finally:
                    if burning.poll() is None:
                        os.killpg(burning.pid, signal.SIGKILL)
            (root / "load.json").write_text(json.dumps({"began": began.isoformat(), "ended": datetime.now(UTC).isoformat()}))
            code = night.wait()
        finally:
            if night.poll() is None:
                night.send_signal(signal.SIGINT)
    if code:
        raise RuntimeError(f"the night ended with {code}:\n{log.read_text()[-2000:]}")


def _wait(night: subprocess.Popen[bytes], log: Path, line: str, longest_s: float) -> None:
    until = time.monotonic() + longest_s
    while line not in log.read_text():
        if night.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the night never came to {line!r}:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_S)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hours", type=float, default=0.4)
    options.add_argument("--preset", default="cpu-quick")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--after-s", type=float, default=200.0, help="from the first experiment to the load")
    options.add_argument("--load-s", type=float, default=300.0)
    options.add_argument("--nights", type=Path, help="keep the night here, or ask again about the one that is here")
    options.add_argument("--burn", type=float, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.burn is not None:
        burn(asked.burn)
        return 0
    with tempfile.TemporaryDirectory(prefix="disturbed-night-") as name:
        root = (asked.nights or Path(name)).absolute()
        root.mkdir(parents=True, exist_ok=True)
        if not (root / "load.json").exists():
            try:
                disturbed(root, asked)
            except RuntimeError as error:
                print(error, file=sys.stderr)
                return 1
        folder = ledger.find(root)
        night, times = ledger.read(folder), json.loads((root / "load.json").read_text())
        shas = {night.plan.baseline_sha256, *(experiment.asset_sha256 for experiment in night.experiments)}
        assets = {sha256: ledger.load_asset(folder, sha256) for sha256 in shas}
    load = (datetime.fromisoformat(times["began"]), datetime.fromisoformat(times["ended"]))
    seen = look(night, load)
    table(night, seen, load)
    figures = answer(night, seen, assets)
    print(json.dumps({**figures, "load_s": round((load[1] - load[0]).total_seconds(), 1)}))
    return int(bool(figures["problems"]))


if __name__ == "__main__":
    sys.exit(main())
