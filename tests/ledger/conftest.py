"""A plan and rows as a real night writes them."""

from pathlib import Path

import pytest

from appliance import ledger
from appliance.records import (
    ArtifactFile,
    Asset,
    Command,
    Device,
    Experiment,
    Metric,
    NightPlan,
    Preset,
    Profile,
    Run,
    Score,
    Task,
    Telemetry,
    Verdict,
)


@pytest.fixture
def make_plan():
    def make(night_id: str = "20260101-000000-cpu-0000") -> NightPlan:
        preset = Preset(device_kinds=["cpu"], description="quick", dataset="sotu", budget_s=10)
        task = Task(
            name="toy",
            version="1",
            description="toy",
            asset=Asset(files=["train.py"], program="program.md"),
            metric=Metric(name="bits_per_byte", unit="bit/B", direction="lower", version="1", smallest_effect=0.001),
            artifact=[ArtifactFile(name="weights.safetensors", at="end", max_bytes=1000)],
            train=Command(command=["python"]),
            evaluate=Command(command=["python"]),
            presets={"cpu": preset},
        )
        device = Device(kind="cpu", index=0, name="a cpu", slug="cpu")
        return NightPlan(
            night_id=night_id,
            started_at="2026-01-01T00:00:00Z",
            hours=1,
            device=device,
            profile=Profile(device_slug="cpu", device_kind="cpu", name="a cpu", sha256="c" * 64),
            task=task,
            task_sha256="d" * 64,
            preset_name="cpu",
            preset=preset,
            isolation="none",
            agent="replay",
            seed=1,
            baseline_sha256=ledger.asset_sha256({"train.py": "A = 1\n"}),
            reference_sha256=ledger.asset_sha256({"train.py": "A = 1\n"}),
        )

    return make


@pytest.fixture
def make_run():
    def make(run: int, experiment: int = 0, night_id: str = "20260101-000000-cpu-0000", **more) -> Run:
        row = {
            "kind": "screen",
            "status": "ok",
            "metric": "bits_per_byte",
            "score": 1.5 + run / 1000,
            "scores": [Score(split="val", score=1.5, bytes=100, documents=[(10.5, 4), (3.25, 2)])],
            "seed": run,
            "asset_sha256": "a" * 64,
            "task_sha256": "d" * 64,
            "isolation": "none",
            "device": "a cpu",
            "started_at": "2026-01-01T00:00:00Z",
            "observables": {"steps": 12.0, "tokens": 3.0},
            "curve": [(0.5, 1.0, 3.0), (1.0, 2.0, 2.5)],
            "telemetry": Telemetry(samples=2, causes=["contention"]),
            "log_tail": "step 1\nstep 2\n",
            **more,
        }
        return Run(night_id=night_id, run=run, experiment=experiment, **row)

    return make


@pytest.fixture
def make_experiment():
    def make(experiment: int, night_id: str = "20260101-000000-cpu-0000", **more) -> Experiment:
        row = {
            "parent": 0,
            "agent": "replay",
            "hypothesis": "smaller is faster",
            "diff": "-A = 1\n+A = 2\n",
            "asset_sha256": "b" * 64,
            "verdict": Verdict.WITHIN_NOISE,
            "runs": [1, 2],
            "incumbent": 0,
            "decided_at": "2026-01-01T00:00:01Z",
            **more,
        }
        return Experiment(night_id=night_id, experiment=experiment, **row)

    return make


@pytest.fixture
def night(tmp_path: Path, make_plan):
    """A new night, open for writing."""
    with ledger.create(tmp_path / "nights", make_plan(), reserve_bytes=0, heartbeat_s=0) as book:
        yield book
