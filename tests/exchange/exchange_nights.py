"""A small night of our own, for tests of what leaves the machine."""

import hashlib
from typing import Any

from appliance import exchange
from appliance.records import (
    Asset,
    Command,
    Confirmation,
    Device,
    Estimate,
    Experiment,
    Metric,
    Night,
    NightPlan,
    NightState,
    Preset,
    Profile,
    Run,
    Task,
    Verdict,
)

WINNER = {"train.py": "DEPTH = 4\n"}
BASELINE = {"train.py": "DEPTH = 8\n"}
ESTIMATE = Estimate(
    split="test",
    baseline_mean=1.2,
    winner_mean=1.0,
    difference=-0.2,
    interval_low=-0.22,
    interval_high=-0.18,
    relative=-1 / 6,
    relative_low=-0.18,
    relative_high=-0.15,
    pairs=4,
    method="Welch",
    holds=True,
)

PAIRS = [exchange.Pair(seed=n, baseline=1.2, winner=1.0 + off) for n, off in enumerate((-0.01, 0.01, -0.01, 0.01))]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def plan(**changes: Any) -> NightPlan:
    preset = Preset(device_kinds=["cpu"], description="quick", dataset="sotu", budget_s=10.0)
    task = Task(
        name="trainer",
        version="1",
        description="a GPT",
        asset=Asset(files=["train.py"], program="program.md"),
        metric=Metric(name="bits_per_byte", unit="bits/byte", direction="lower", version="1", smallest_effect=0.005),
        artifact=[],
        train=Command(command=["python", "train.py"]),
        evaluate=Command(command=["python", "evaluate.py"]),
        presets={"cpu-quick": preset},
    )
    fields: dict[str, Any] = {
        "night_id": "20260312-210400-cpu-2c-ab12",
        "started_at": "2026-03-12T21:04:00+00:00",
        "hours": 0.3,
        "device": Device(kind="cpu", index=0, name="CPU", slug="cpu-2c", uuid="GPU-secret", processes=[42]),
        "profile": Profile(device_slug="cpu-2c", device_kind="cpu", name="CPU", sha256=digest("profile")),
        "task": task,
        "task_sha256": digest("task"),
        "preset_name": "cpu-quick",
        "preset": preset,
        "isolation": "docker",
        "image_digest": "sha256:" + digest("image"),
        "data_sha256": digest("data"),
        "agent": "search",
        "seed": 7,
        "baseline_sha256": digest("baseline"),
        "reference_sha256": digest("baseline"),
        **changes,
    }
    return NightPlan(**fields)


def run(number: int, experiment: int, score: float | None, **changes: Any) -> Run:
    fields: dict[str, Any] = {
        "night_id": "n",
        "experiment": experiment,
        "run": number,
        "kind": "screen" if experiment else "calibration",
        "status": "failed" if score is None else "ok",
        "metric": "bits_per_byte",
        "score": score,
        "seed": number,
        "asset_sha256": digest(str(experiment)),
        "task_sha256": digest("task"),
        "isolation": "docker",
        "device": "CPU",
        "started_at": "2026-03-12T21:10:00+00:00",
        "observables": {"peak_memory_bytes": 6.1e9},
        **changes,
    }
    return Run(**fields)


def experiment(number: int, verdict: Verdict, runs: list[int], **changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "night_id": "n",
        "experiment": number,
        "parent": 0,
        "agent": "search",
        "hypothesis": f"change {number}\twith a tab\nand a line, and “quotes”",
        "diff": "",
        "asset_sha256": digest(str(number)),
        "verdict": verdict,
        "runs": runs,
        "incumbent": 0,
        "decided_at": "2026-03-12T21:20:00+00:00",
        **changes,
    }
    return Experiment(**fields)


def night() -> Night:
    runs = [run(1, 0, 1.2), run(2, 0, 1.21), run(3, 1, 1.1), run(4, 1, 1.0, kind="replicate"), run(5, 1, 0.9, kind="confirm")]
    runs += [run(6, 2, 1.3), run(7, 3, None), run(8, 4, 1.1)]
    experiments = [
        experiment(1, Verdict.KEPT, [4], difference=-0.2, interval_low=-0.25, interval_high=-0.15, p=0.001),
        experiment(2, Verdict.WITHIN_NOISE, [6]),
        experiment(3, Verdict.FAILED, [], reason="out_of_memory"),
        experiment(4, Verdict.KEPT_SIMPLER, [8]),
    ]
    return Night(
        plan=plan(),
        state=NightState(phase="done", incumbent=1, confirmation=Confirmation(status="confirmed", estimates=[ESTIMATE])),
        runs=runs,
        experiments=experiments,
    )
