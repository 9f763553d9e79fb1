"""Where a run's wall clock goes: every second in one phase, in the row and on the page."""

from pathlib import Path

import pytest

from appliance import paths, sandbox, tasks
from appliance.records import Device, Profile, Run
from appliance.report.clock import run_seconds
from appliance.workflows.corpora import corpus
from appliance.workflows.execution import Phases, RunRequest, SandboxExecution

CPU = Device(kind="cpu", index=0, name="Test CPU", slug="test-cpu", cores=1)


def test_a_part_of_a_phase_becomes_another_and_the_sum_stays():
    phases = Phases()
    phases.end("budget")
    phases.end("collect")
    total = phases.total_s
    phases.split("budget", 1e9, "finish")
    phases.split("import", 1.0, "startup")
    phases.split("collect", None, "check")
    assert phases.seconds["budget"] == 0.0
    assert sorted(phases.seconds) == ["budget", "collect", "finish"]
    assert phases.total_s == pytest.approx(total)


def test_the_phases_of_a_real_run_are_its_wall_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path / "cache"))
    loaded = tasks.load(str(paths.share("examples") / "curve"))
    preset = next(iter(loaded.task.presets.values()))
    place = sandbox.open_sandbox("process")
    points = corpus(loaded, preset.dataset, place, CPU, lambda line: None)
    profile = Profile(device_slug=CPU.slug, device_kind="cpu", name=CPU.name, sha256="0" * 64)
    execution = SandboxExecution(place=place, loaded=loaded, preset=preset, device=CPU, profile=profile)
    outcome = execution.run(RunRequest(night_id="test", run=1, seed=1, files=loaded.reference(preset), corpus=points))
    assert outcome.wall_s == pytest.approx(sum(outcome.phases.values()))
    assert {"create", "import", "startup", "mark", "budget", "finish", "collect", "check"} <= set(outcome.phases)
    assert outcome.phases.get("evaluate") == outcome.evaluate_s


def test_the_page_counts_each_second_of_a_run_once():
    phases = {"create": 0.4, "import": 2.0, "startup": 0.3, "mark": 0.2, "budget": 10.0, "finish": 0.5, "collect": 0.6}
    run = Run(
        night_id="n", experiment=0, run=1, kind="screen", status="ok", metric="loss", score=1.0, seed=1, asset_sha256="0" * 64,
        task_sha256="0" * 64, isolation="none", device="cpu", started_at="", wall_s=14.0, create_s=0.4, startup_s=0.3, budget_s=10.0,
        phases={**phases, "evaluate": 0.0},
    )  # fmt: skip
    parts = run_seconds(run)
    assert sum(parts.values()) == pytest.approx(14.0)
    assert (parts["startup"], parts["busy"], parts["other"]) == (pytest.approx(2.7), 10.0, pytest.approx(0.8))
