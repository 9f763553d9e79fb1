"""Boxes made ahead of their turn: the same results, nothing of one run in the next, nothing left."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import paths, sandbox, tasks
from appliance.records import Device, Profile
from appliance.workflows.corpora import corpus
from appliance.workflows.execution import Corpus, RunRequest, SandboxExecution
from appliance.workflows.standby import Standby

CPU = Device(kind="cpu", index=0, name="Test CPU", slug="test-cpu", cores=1)


@pytest.fixture
def place() -> sandbox.Sandbox:
    return sandbox.open_sandbox("process")


@pytest.fixture
def make(place: sandbox.Sandbox):
    @contextlib.contextmanager
    def open_box(asset: Path) -> Iterator[sandbox.Box]:
        with place.create(sandbox.Spec(command=("sleep", "100"), folders={"ASSET": asset}, device=CPU)) as box:
            yield box

    return open_box


def test_the_box_that_stands_by_is_taken_once_and_removed(make):
    standby = Standby()
    standby.prepare("a", make)
    with standby.take("a", make) as first, standby.take("a", make) as second:
        assert first.box.name != second.box.name
        assert first.asset != second.asset
    assert not first.asset.exists()
    assert not first.box.lives


def test_a_box_for_other_data_and_a_dead_one_are_not_taken(make):
    standby = Standby()
    for data, dies in (("a", False), ("b", True)):
        standby.prepare(data, make)
        waiting = standby._next
        assert waiting is not None
        if dies:
            waiting.box.remove()
        with standby.take("b", make) as taken:
            assert taken.box.name != waiting.box.name
            assert taken.box.lives
        assert not waiting.asset.exists()


def test_runs_ahead_score_as_runs_alone_and_leave_nothing(place: sandbox.Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path / "cache"))
    loaded = tasks.load(str(paths.share("examples") / "curve"))
    preset = next(iter(loaded.task.presets.values()))
    points: Corpus = corpus(loaded, preset.dataset, place, CPU, lambda line: None)
    profile = Profile(device_slug=CPU.slug, device_kind="cpu", name=CPU.name, sha256="0" * 64)
    request = RunRequest(night_id="test", run=1, seed=1, files=loaded.reference(preset), corpus=points)
    broken = RunRequest(night_id="test", run=2, seed=1, files={"fit.py": "raise ValueError('no')"}, corpus=points)
    with contextlib.closing(
        SandboxExecution(place=place, loaded=loaded, preset=preset, device=CPU, profile=profile, ahead=True)
    ) as execution:
        outcomes = [execution.run(each) for each in (request, broken, request)]
        waiting = execution._standby._next
        assert waiting is not None
        assert list(waiting.asset.iterdir()) == []
    assert not waiting.box.lives
    assert [outcome.status for outcome in outcomes] == ["ok", "failed", "ok"]
    assert "no" in (outcomes[1].detail or "")
    assert outcomes[2].scores[0].score < 2 * outcomes[0].scores[0].score
