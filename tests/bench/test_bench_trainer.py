"""The host's half of the trainer's bench; the models themselves are compared where torch is (tests/trainer)."""

import ast

import pytest

import trainer as bench
from appliance import paths, tasks
from appliance.errors import ApplianceError

LOADED = tasks.load("trainer")
PRESETS = list(LOADED.task.presets)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_plain_script_gets_every_constant_of_the_preset(preset: str):
    reference = LOADED.reference(LOADED.task.presets[preset])
    ours = tasks.read_constants(reference)
    plain = tasks.read_constants(bench.configured("plain_gpt.py", reference))
    assert set(ours) - set(plain) == {"COMPILE"}
    assert all(plain[name] == ours[name] for name in plain)


@pytest.mark.parametrize("name", ["plain_gpt.py", "loader_rate.py"])
def test_an_asset_of_the_bench_parses_and_asks_nothing_of_the_appliance(name: str):
    tree = ast.parse((bench.HERE / name).read_text())
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else a.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for a in node.names
    }
    assert {str(module).split(".")[0] for module in imported} <= {"contextlib", "os", "numpy", "torch", "harness"}


def test_the_presets_of_the_bench_are_the_smallest_of_their_device():
    assert set(bench.PRESETS.values()) <= set(PRESETS)
    assert (paths.share("trainer") / "train.py").is_file()


def test_the_ratio_is_of_pairs_not_of_medians():
    rates = bench.Rates(ours=[10.0, 40.0, 30.0], plain=[5.0, 40.0, 10.0], loader=900.0, packing=0.999, mfu=None)
    assert rates.ratio == 2.0
    assert rates.loader_ratio == 30.0
    assert bench.below("cuda", bench.summary(rates)) == []
    slow = bench.Rates(ours=[9.0], plain=[10.0], loader=90.0, packing=0.98, mfu=0.1)
    assert bench.below("cpu", bench.summary(slow)) == ["ratio", "loader_ratio", "packing"]


def test_packing_is_read_from_a_line_of_its_own():
    assert bench.packing_of("prefix packing 0.1\npacking 0.998000\n") == 0.998
    with pytest.raises(ApplianceError, match="did not say"):
        bench.packing_of("nothing")
