"""The benchmark's own parts: what it changes in a bundle, and that all four answers come out of a fresh clone."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from reproduce_help import CURVE, asset, write_bundle

from appliance import exchange, tasks
from appliance.errors import UsageError

BENCH = Path(__file__).resolve().parents[2] / "bench" / "reproduce.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_reproduce", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_three_of_the_four_bundles_are_whole_and_only_what_is_meant_differs(bench: ModuleType, tmp_path: Path):
    raw = write_bundle(tmp_path / "b.tar").read_bytes()
    there = exchange.read_bundle(raw, "b.tar")
    as_it_is, changed, flipped, elsewhere = bench.bundles(raw, tmp_path, 4)
    assert as_it_is.file.read_bytes() == raw
    with pytest.raises(UsageError, match=r"'winner/fit.py' does not have the SHA-256"):
        exchange.open_bundle(flipped.file)
    other = exchange.open_bundle(changed.file)
    assert other.manifest.winner_sha256 != there.manifest.winner_sha256
    assert (other.baseline, other.task, other.manifest.pairs) == (there.baseline, there.task, there.manifest.pairs)
    before, now = (tasks.read_constants(one.winner) for one in (there, other))
    assert [name for name in before if before[name] != now[name]] == ["WAVES"]
    assert exchange.open_bundle(elsewhere.file).manifest.device.name == "Another Device"
    assert exchange.open_bundle(elsewhere.file).winner == there.winner


@pytest.mark.parametrize(
    ("winner", "name", "value"),
    [
        ({"WAVES": 5}, "WAVES", 10),
        ({"WAVES": 5, "STEP": 0.01}, "STEP", 0.08),
        ({"STEP": 0.5}, "STEP", 0.0625),
        ({"MOMENTUM": 0.9}, "MOMENTUM", 0.1125),
    ],
)
def test_a_constant_that_won_is_moved_far_and_stays_in_its_range(bench: ModuleType, winner: dict[str, float], name: str, value: float):
    loaded = tasks.load(str(CURVE))
    files, what = bench.spoilt(loaded.task, asset(loaded, WAVES=1), asset(loaded, WAVES=1) | asset(loaded, **{"WAVES": 1, **winner}))
    assert tasks.read_constants(files)[name] == value
    assert what.startswith(f"{name} = {value} instead of")


def test_a_winner_without_a_constant_of_its_own_cannot_be_spoilt(bench: ModuleType):
    loaded = tasks.load(str(CURVE))
    with pytest.raises(SystemExit, match="no constant of it can be changed"):
        bench.spoilt(loaded.task, loaded.asset(), loaded.asset())


@pytest.mark.long
def test_all_four_answers_come_out_of_a_fresh_clone(tmp_path: Path):
    command = [sys.executable, str(BENCH), "--task", str(CURVE), "--sandbox", "process", "--hours", "0.045"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    if "too busy to measure on" in done.stdout + done.stderr:
        pytest.skip("the machine was too busy to measure on")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["right"], summary["cases"]) == (4, 4)
