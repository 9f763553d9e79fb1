"""Bundles that are whole and properly signed, and lie: refused before anything is built, fetched or run."""

import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from reproduce_help import CURVE, asset, plan, write_bundle

from appliance import exchange, tasks
from appliance.errors import UsageError
from appliance.workflows.progress import Silent
from appliance.workflows.reproduce import Options, checked_task, reproduce


class Listening(Silent):
    """Remembers what was told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.notes: list[str] = []

    def phase(self, name: str, detail: str = "") -> None:
        self.phases.append(name)

    def note(self, line: str) -> None:
        self.notes.append(line)


def refused(file: Path) -> str:
    """Why `reproduce` refuses it; nothing but verifying was begun."""
    told = Listening()
    with pytest.raises(UsageError) as caught:
        reproduce(Options(file=file, junit=file.with_suffix(".xml")), told)
    assert told.phases == ["verify", "end"]
    assert "\n" not in str(caught.value)
    error = ElementTree.parse(file.with_suffix(".xml")).find("testsuite/testcase/error")
    assert error is not None
    assert error.get("message") == str(caught.value)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stranger's task: the example, and a file more."""
    folder = tmp_path / "task"
    shutil.copytree(CURVE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_flipped_byte(tmp_path: Path) -> None:
    file = write_bundle(tmp_path / "b.tar")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    assert "was changed after it was made" in refused(file)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"winner_sha256": "0" * 64}, "its winner is not the one that its manifest names"),
        ({"baseline": {"fit.py": "WAVES = 2\n"}}, "its baseline is not the one that its manifest names"),
    ],
)
def test_an_asset_that_is_not_the_named_one(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    assert why in refused(write_bundle(tmp_path / "b.tar", **changes))


def test_an_asset_with_a_file_more(tmp_path: Path) -> None:
    winner = {**asset(tasks.load(str(CURVE)), WAVES=5), "sitecustomize.py": "print('hello')\n"}
    assert "its winner has other files than its task's asset" in refused(write_bundle(tmp_path / "b.tar", winner=winner))


def test_a_task_that_is_not_the_named_one(tmp_path: Path, folder: Path) -> None:
    change(folder / "evaluator" / "__main__.py", "** 2", "** 1")
    loaded = tasks.load(str(CURVE))
    file = write_bundle(tmp_path / "b.tar", folder=folder, plan=plan(loaded, asset(loaded, WAVES=1)))
    assert "its task is" in refused(file)


def test_a_preset_that_its_task_has_not(tmp_path: Path) -> None:
    loaded = tasks.load(str(CURVE))
    longer = msgspec.structs.replace(loaded.task.presets["small"], budget_s=100.0)
    file = write_bundle(tmp_path / "b.tar", plan=plan(loaded, asset(loaded, WAVES=1), preset=longer))
    assert "its task has another preset small" in refused(file)


def test_a_task_that_reaches_for_files_outside_its_folder(tmp_path: Path, folder: Path) -> None:
    loaded = tasks.load(str(folder))
    fields = plan(loaded, asset(loaded, WAVES=1))
    outside = "../../../../../../../etc"
    change(folder / "task.toml", 'files = ["harness"]', f'files = ["harness", "{outside}"]')
    file = tmp_path / "b.tar"
    with pytest.raises(UsageError, match="lies outside the task's folder"):
        tasks.load(str(folder))
    pairs = [exchange.Pair(seed=n, baseline=0.6, winner=0.2) for n in range(2)]
    exchange.write_bundle(
        file,
        plan=fields,
        confirmation=None,
        winner_sha256="0" * 64,
        winner=loaded.asset(),
        baseline=loaded.asset(),
        task_folder=folder,
        image_lock={},
        pairs=pairs[:0],
    )
    assert f"'{outside}' lies outside the task's folder" in refused(file)


def test_what_a_strangers_task_would_run_on_the_host_is_left_out_and_said(tmp_path: Path, folder: Path) -> None:
    mark = tmp_path / "ran on the host"
    with (folder / "task.toml").open("a") as out:
        out.write(f'\n[[checks]]\nname = "evil"\nat = "mark"\ncommand = ["touch", "{mark}"]\n')
        out.write(f'\n[estimate]\ncommand = ["touch", "{mark}"]\n')
    change(folder / "task.toml", "memory_bytes = 536870912", "memory_bytes = 1125899906842624")
    told = Listening()
    with checked_task(exchange.open_bundle(write_bundle(tmp_path / "b.tar", folder=folder)), told) as loaded:
        assert tasks.run_checks(loaded, "mark", tmp_path) is None
        assert loaded.task.estimate is None
        assert loaded.task.prepare is not None
        assert {command.limits.memory_bytes for command in (loaded.task.train, loaded.task.evaluate, loaded.task.prepare)} == {None}
    assert not mark.exists()
    assert told.notes == ["its task is not one of this installation: what it would run outside the sandbox is left out"]


def test_a_task_of_this_installation_is_taken_from_it_and_keeps_its_checks(tmp_path: Path) -> None:
    told = Listening()
    with checked_task(exchange.open_bundle(write_bundle(tmp_path / "b.tar")), told) as loaded:
        assert loaded.folder == CURVE
        assert loaded == tasks.load(str(CURVE))
    assert told.notes == []


def test_a_place_for_the_answer_that_is_not_there_is_said_before_anything_else(tmp_path: Path) -> None:
    told = Listening()
    with pytest.raises(UsageError, match="there is no folder"):
        reproduce(Options(file=tmp_path / "none.tar", report=tmp_path / "none" / "r.md"), told)
    assert told.phases == []


def test_an_older_answer_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "r.md").write_text("# reproduced\n")
    with pytest.raises(UsageError, match="cannot be read"):
        reproduce(Options(file=tmp_path / "none.tar", report=tmp_path / "r.md"), Silent())
    assert not (tmp_path / "r.md").exists()
