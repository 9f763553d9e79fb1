"""A bundle of the curve task, and a place to reproduce it in that needs no machine."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from appliance import exchange, judge, ledger, paths, tasks
from appliance.records import Confirmation, Device, NightPlan, Preset, Profile, Reason, Score, Telemetry
from appliance.workflows.execution import Corpus, RunOutcome, RunRequest
from appliance.workflows.workplace import Workplace

CURVE = paths.share("examples") / "curve"
CPU = Device(kind="cpu", index=0, name="A CPU", slug="a-cpu-2c", cores=2)
OTHER = Device(kind="cpu", index=0, name="Another CPU", slug="another-cpu-8c", cores=8)
NOISE_SD = 0.002
DATA = "d" * 64


def asset(loaded: tasks.LoadedTask, **constants: Any) -> dict[str, str]:
    """The task's asset with these literals."""
    return tasks.replace_constants(loaded.asset(), constants)


def write_bundle(path: Path, *, folder: Path = CURVE, winner: Mapping[str, str] | None = None, **changes: Any) -> Path:
    """What a night of this task would have bundled: WAVES 1 against WAVES 5, four pairs by the formula of `Formula`."""
    loaded = tasks.load(str(folder))
    baseline, best = asset(loaded, WAVES=1), asset(loaded, WAVES=5)
    pairs = [exchange.Pair(seed=n, baseline=formula(baseline, n, "b"), winner=formula(best, n, "w")) for n in range(4)]
    expected = judge.estimate("test", loaded.task.metric, [p.baseline for p in pairs], [p.winner for p in pairs])
    winner = best if winner is None else winner
    fields: dict[str, Any] = {
        "plan": plan(loaded, baseline),
        "confirmation": Confirmation(status="confirmed", estimates=[expected]),
        "winner_sha256": ledger.asset_sha256(winner),
        "winner": winner,
        "baseline": baseline,
        "task_folder": folder,
        "image_lock": {},
        "pairs": pairs,
        **changes,
    }
    exchange.write_bundle(path, **fields)
    return path


def plan(loaded: tasks.LoadedTask, baseline: Mapping[str, str], **changes: Any) -> NightPlan:
    """Of a night on `CPU`."""
    preset: Preset = loaded.task.presets["small"]
    fields: dict[str, Any] = {
        "night_id": "20260312-210400-a-cpu-2c-ab12",
        "started_at": "2026-03-12T21:04:00+00:00",
        "hours": 0.3,
        "device": CPU,
        "profile": Profile(device_slug=CPU.slug, device_kind="cpu", name=CPU.name, sha256="0" * 64),
        "task": loaded.task,
        "task_sha256": loaded.sha256,
        "preset_name": "small",
        "preset": preset,
        "isolation": "docker",
        "image_digest": "1" * 64,
        "data_sha256": DATA,
        "agent": "search",
        "seed": 7,
        "baseline_sha256": ledger.asset_sha256(baseline),
        "reference_sha256": ledger.asset_sha256(baseline),
        **changes,
    }
    return NightPlan(**fields)


def formula(files: Mapping[str, str], seed: int, salt: str = "") -> float:
    """Score of an asset: 0.1 for each wave missing to five, and noise by seed."""
    waves = int(tasks.read_constants(files)["WAVES"])
    return 0.2 + 0.1 * abs(5 - waves) + random.Random(f"{seed} {waves} {salt}").gauss(0, NOISE_SD)


@dataclass
class Formula:
    """Stands where the sandboxes are; `outcome` may put something else in a run's place."""

    outcome: Callable[[RunRequest], RunOutcome | None] = lambda _request: None
    requests: list[RunRequest] = field(default_factory=list)

    def run(self, request: RunRequest) -> RunOutcome:
        self.requests.append(request)
        score = Score(split="test", score=formula(request.files, request.seed), bytes=1000)
        other = self.outcome(request)
        return other or RunOutcome(status="ok", scores=[score], observables={"sweeps_per_s": 100.0}, startup_s=0.1 + 0.1 * request.run)


def failing(reason: Reason, waves: int) -> Callable[[RunRequest], RunOutcome | None]:
    """The asset with this many waves fails."""

    def outcome(request: RunRequest) -> RunOutcome | None:
        ours = tasks.read_constants(request.files)["WAVES"] == waves
        return RunOutcome(status="failed", reason=reason, detail="as told\x1b[2J") if ours else None

    return outcome


def disturbed(times: int) -> Callable[[RunRequest], RunOutcome | None]:
    """The first runs share the machine with others, by the judge's own opinion of their readings."""
    left = [times]

    def outcome(request: RunRequest) -> RunOutcome | None:
        if left[0] == 0:
            return None
        left[0] -= 1
        busy = Telemetry(samples=9, cpu_others_share=0.5)
        cause = request.normal(busy, {})
        assert cause is not None
        return RunOutcome(status="invalid", reason=cause, telemetry=busy)

    return outcome


@dataclass
class Place:
    """A sandbox that is asked only what it is."""

    isolation: str = "docker"
    image_digest: str | None = "1" * 64


def workplace(device: Device = CPU) -> Workplace:
    """What `make_ready` would give."""
    loaded = tasks.load(str(CURVE))
    return Workplace(
        device=device,
        loaded=loaded,
        preset_name="small",
        preset=loaded.task.presets["small"],
        place=Place(),  # type: ignore[arg-type]
        profile=Profile(device_slug=device.slug, device_kind="cpu", name=device.name, sha256="0" * 64),
        first=Corpus(name="points", sha256=DATA, splits={}),
        second=None,
        versions={},
    )


def mean(runs: list[exchange.FreshRun], asset: str) -> float:
    """Of the scores of one asset."""
    return fmean(run.score for run in runs if run.asset == asset and run.score is not None)
