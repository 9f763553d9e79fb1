"""A night of 10,000 experiments through the real ledger: does it stay flat?

Prints the growth of resident memory from experiment 100 to the last, the median time of recording a row (journal, Parquet file, journal,
all forced to the medium), the time to open the night again for writing and the time to read all of it, each in a fresh process, beside the
processor's part of it: on a machine that others use too, the wall says little. Last line: JSON. Exit 1 where a limit is passed.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simulated_night import TOY, Simulation, plan_of, workplace

from appliance import ledger
from appliance.records import Experiment, Proposal, Run, Score, Telemetry, Verdict

LIMITS = {"growth_mib": 50.0, "append_median_s": 0.020, "resume_s": 3.0, "read_s": 2.0}
OBSERVABLES = ("steps", "tokens", "tokens_per_s", "mfu", "params", "peak_memory_bytes")


def resident_mib() -> float:
    """Resident memory of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run_of(night_id: str, number: int, sha256: str) -> Run:
    """A run with all that a real one leaves."""
    return Run(
        night_id=night_id,
        experiment=number,
        run=number,
        kind="screen",
        status="ok",
        metric="loss",
        score=1.0 + number / 1e6,
        scores=[Score(split="val", score=1.0 + number / 1e6, bytes=1000)],
        seed=number,
        asset_sha256=sha256,
        profile_sha256="0" * 64,
        task_sha256="1" * 64,
        isolation="none",
        device="simulated",
        driver="6.1",
        torch="2.13.0",
        started_at="2026-01-01T00:00:00Z",
        create_s=0.4,
        startup_s=1.1,
        budget_s=10.0,
        finish_s=0.1,
        evaluate_s=2.0,
        wall_s=14.0,
        observables={name: number * 1.5 + n for n, name in enumerate(OBSERVABLES)},
        curve=[(n * 1.0, n * 10.0, 3.0 - n / 100) for n in range(50)],
        telemetry=Telemetry(samples=10, interval_s=1.0, power_w_mean=100.0, temperature_c_max=50.0, energy_j=1000.0),
        log_tail="".join(f"step {n} loss {3 - n / 100}\n" for n in range(60)),
    )


def experiment_of(night_id: str, number: int, sha256: str) -> Experiment:
    """A verdict with a diff of ordinary size."""
    return Experiment(
        night_id=night_id,
        experiment=number,
        parent=0,
        agent="search",
        hypothesis=f"WIDTH {number} instead of {number + 1} is cheaper and as good",
        diff="".join(f"-LINE_{n} = {n}\n+LINE_{n} = {n + number}\n" for n in range(30)),
        asset_sha256=sha256,
        verdict=Verdict.WITHIN_NOISE,
        runs=[number],
        difference=0.001,
        interval_low=-0.001,
        interval_high=0.003,
        p=0.5,
        noise_sd=0.001,
        noise_n=20,
        incumbent=0,
        decided_at="2026-01-01T00:00:00Z",
    )


def write(root: Path, count: int) -> dict[str, float]:
    """Live the night: growth and append time."""
    place = workplace(root)
    plan, baseline = plan_of(Simulation(root=root, replay=()), place)
    appends: list[float] = []
    works: list[float] = []
    early = 0.0
    with ledger.create(root, plan, [baseline]) as book:
        book.update_state(phase="search")
        for number in range(1, count + 1):
            files = {"asset.py": f"WIDTH = {number}\n"}
            sha256 = book.store_asset(files)
            proposal = Proposal(files=files, hypothesis="h", agent="search", parent_sha256=plan.baseline_sha256)
            book.plan_experiment(number, proposal, 0, agent_state={"asked": number})
            book.plan_run(number, number, "screen", number, sha256)
            book.advance_run(number, "started", container_id="c" * 12)
            run, experiment = run_of(plan.night_id, number, sha256), experiment_of(plan.night_id, number, sha256)
            began, busy = time.monotonic(), time.thread_time()
            book.record_run(run)
            appends.append(time.monotonic() - began)
            works.append(time.thread_time() - busy)
            book.write_log(number, run.log_tail)
            began = time.monotonic()
            book.record_experiment(experiment, agent_state={"asked": number, "told": number})
            appends.append(time.monotonic() - began)
            if number == min(100, count):
                early = resident_mib()
        late = resident_mib()
    return {
        "growth_mib": round(late - early, 1),
        "append_median_s": round(statistics.median(appends), 4),
        "append_cpu_median_s": round(statistics.median(works), 4),
        "append_max_s": round(max(appends), 3),
    }


def in_fresh_process(code: str, folder: Path) -> dict[str, float]:
    """What a new interpreter measures; imports are not counted."""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


OPEN = """
import json, sys, time, pathlib
from appliance import ledger
began, busy = time.monotonic(), time.process_time()
book = ledger.open(pathlib.Path(sys.argv[1]))
took = time.monotonic() - began
cpu = time.process_time() - busy
print(json.dumps({"resume_s": round(took, 2), "resume_cpu_s": round(cpu, 2), "resumed_rows": len(book.runs()) + len(book.experiments())}))
book.close()
"""

READ = """
import json, sys, time, pathlib
from appliance import ledger
began, busy = time.monotonic(), time.process_time()
night = ledger.read(pathlib.Path(sys.argv[1]))
took = time.monotonic() - began
cpu = time.process_time() - busy
print(json.dumps({"read_s": round(took, 2), "read_cpu_s": round(cpu, 2), "read_rows": len(night.runs) + len(night.experiments)}))
"""


def main() -> int:
    """Measure and compare with the limits."""
    parser = argparse.ArgumentParser(description="A long night through the real ledger.")
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, default=None, help="where the night lives; use a real disk")
    options = parser.parse_args()
    assert TOY.is_dir()
    with tempfile.TemporaryDirectory(prefix="long-night-", dir=options.folder) as name:
        figures: dict[str, float] = {"experiments": options.experiments, **write(Path(name), options.experiments)}
        folder = next(Path(name).iterdir())
        figures |= in_fresh_process(OPEN, folder) | in_fresh_process(READ, folder)
        figures["files"] = sum(len(list((folder / kind).iterdir())) for kind in ("runs", "experiments"))
        figures["journal_mib"] = round((folder / "journal.db").stat().st_size / 2**20, 1)
    over = [key for key, limit in LIMITS.items() if figures[key] > limit]
    for key in over:
        print(f"PROBLEM {key} is {figures[key]}, the limit is {LIMITS[key]}")
    print(json.dumps(figures))
    return int(bool(over) or figures["read_rows"] != 2 * options.experiments)


if __name__ == "__main__":
    sys.exit(main())
