"""What may not be taken up again is refused in one line, before anything is made ready or changed."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aftermath_nights import TOY, constant, finished_night

from appliance import hardware, ledger
from appliance.errors import UsageError
from appliance.workflows import confirm
from appliance.workflows.progress import Silent


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Path]:
    """A finished night that must be left as it is."""
    folder, _ = finished_night(tmp_path, {"a narrower net": constant("WIDTH", 8)})
    state = ledger.read(folder).state
    yield folder
    assert ledger.read(folder).state == state


def _refused(folder: Path, kind: str | None = None) -> str:
    with pytest.raises(UsageError) as refusal:
        confirm.confirm(folder, 1, kind, Silent())  # type: ignore[arg-type]
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_an_imported_night(night: Path):
    _rewrite(night, imported=True)
    assert "is imported" in _refused(night)


def test_a_night_that_kept_nothing(tmp_path: Path):
    folder, _ = finished_night(tmp_path, {})
    assert "kept nothing" in _refused(folder)


def test_a_night_that_somebody_holds(night: Path):
    with ledger.open(night, afterwards=True):
        said = _refused(night)
    assert f"in use by process {os.getpid()}" in said


def test_another_sandbox(night: Path):
    assert "ran in sandbox process" in _refused(night, "docker")


def test_a_device_that_is_not_here(night: Path):
    said = _refused(night)
    assert "ran on simulated, which is not in this machine" in said


def test_a_task_that_changed(night: Path):
    _rewrite(night, device=hardware.choose(hardware.detect(), "cpu"), task_source=str(TOY), task_sha256="0" * 64)
    assert "the task of night" in _refused(night)


def _rewrite(folder: Path, **changes: object) -> None:
    plan = msgspec.structs.replace(ledger.read_plan(folder), **changes)
    (folder / "night.json").write_bytes(msgspec.json.encode(plan))
