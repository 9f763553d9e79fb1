"""The trainer as a task: what the host reads of it without torch."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import tasks
from appliance.tasks import read_constants

TRAINER = Path(__file__).resolve().parents[2] / "trainer"

CPU_PROFILE = {"device_kind": "cpu", "peak_flops": 2.4e11, "bandwidth_bytes_per_s": 2.0e10}


def estimate(profile: dict, *constants: dict, budget_s: float = 30.0) -> list[dict]:
    request = json.dumps({"profile": profile, "params": {}, "budget_s": budget_s, "constants": list(constants)})
    argv = [sys.executable, "-I", str(TRAINER / "estimate.py")]
    return json.loads(subprocess.run(argv, input=request, capture_output=True, text=True, check=True).stdout)


@pytest.fixture(scope="module")
def trainer():
    return tasks.load("trainer")


def test_the_shipped_task_is_read_without_complaint(trainer):
    assert trainer.task.name == "trainer"
    assert trainer.task.metric.direction == "lower"


def test_every_constant_of_the_asset_has_a_comment_with_its_meaning():
    lines = (TRAINER / "train.py").read_text().splitlines()
    for name in read_constants({"train.py": "\n".join(lines)}):
        (line,) = [line for line in lines if line.startswith(f"{name} = ")]
        assert "  # " in line, name


def test_the_reference_of_every_preset_lies_within_the_ranges_of_the_search(trainer):
    for label, preset in trainer.task.presets.items():
        held = read_constants(trainer.reference(preset))
        for name, r in trainer.task.constants.items():
            if r.choices is not None:
                assert held[name] in r.choices, (label, name)
            elif r.type in ("int", "float"):
                assert r.low <= held[name] <= r.high, (label, name)


def test_every_preset_is_runnable_with_what_its_dataset_is_prepared_into(trainer):
    for preset in trainer.task.presets.values():
        held = read_constants(trainer.reference(preset))
        source = trainer.task.datasets[preset.dataset]
        assert held["VOCAB_SIZE"] in source.compatible["vocabularies"]
        assert set(preset.evaluation) == {"val", "test", "transfer"}
        assert trainer.task.datasets[source.transfer].compatible["vocabularies"] == source.compatible["vocabularies"]


def test_the_asset_imports_nothing_but_torch_the_standard_library_and_the_harness():
    tree = ast.parse((TRAINER / "train.py").read_text())
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} <= {"torch", "harness", "numpy", *sys.stdlib_module_names}


def test_a_larger_model_is_predicted_to_cost_more_of_everything(trainer):
    reference = read_constants(trainer.reference(trainer.task.presets["cpu"]))
    small, large = estimate(CPU_PROFILE, reference | {"WIDTH": 64, "DEPTH": 2}, reference)
    assert small["seconds"] < large["seconds"]
    assert small["memory_bytes"] < large["memory_bytes"]
    assert small["observables"]["steps"] > large["observables"]["steps"]
    assert small["observables"]["params"] < large["observables"]["params"]


def test_what_is_predicted_bears_the_names_of_the_task_s_observables(trainer):
    (told,) = estimate(CPU_PROFILE, read_constants(trainer.reference(trainer.task.presets["cpu"])))
    assert set(told["observables"]) <= set(trainer.task.observables)


def test_a_profile_without_a_rate_gets_a_size_but_no_time(trainer):
    (told,) = estimate({"device_kind": "cuda"}, read_constants(trainer.asset()))
    assert "seconds" not in told
    assert told["memory_bytes"] > 0


def test_configurations_are_ranked_as_they_were_measured():
    """Seconds per step, measured on one core of 2.0e11 FLOP/s: what a night that sizes its candidates must know beforehand."""
    measured = [
        ({"WIDTH": 64, "DEPTH": 1, "HEAD_DIM": 32, "BATCH_TOKENS": 512, "VOCAB_SIZE": 256}, 0.0117),
        ({"WIDTH": 128, "DEPTH": 2, "HEAD_DIM": 64, "BATCH_TOKENS": 1024}, 0.087),
        ({"WIDTH": 192, "DEPTH": 3, "HEAD_DIM": 64, "BATCH_TOKENS": 1024, "SEQUENCE_LENGTH": 64}, 0.167),
        ({"WIDTH": 128, "DEPTH": 4, "HEAD_DIM": 32, "BATCH_TOKENS": 4096, "VOCAB_SIZE": 1024}, 0.344),
        ({"WIDTH": 384, "DEPTH": 2, "HEAD_DIM": 128, "VOCAB_SIZE": 1024, "ACTIVATION": "swiglu"}, 0.626),
        ({"WIDTH": 256, "DEPTH": 7, "HEAD_DIM": 64, "VOCAB_SIZE": 1024}, 0.976),
        ({"WIDTH": 512, "DEPTH": 4, "HEAD_DIM": 128, "BATCH_TOKENS": 1024}, 1.487),
    ]
    common = {"VOCAB_SIZE": 2048, "SEQUENCE_LENGTH": 256, "BATCH_TOKENS": 2048, "MICRO_BATCH": 16, "WINDOW_PATTERN": "L"}
    profile = {"device_kind": "cpu", "peak_flops": 2.0e11, "bandwidth_bytes_per_s": 2.1e10}
    predicted = [told["seconds"] for told in estimate(profile, *(common | changed for changed, _ in measured))]
    assert predicted == sorted(predicted)
    for (_, seconds), told in zip(measured, predicted, strict=True):
        assert told == pytest.approx(seconds, rel=0.25)


def test_parameters_are_predicted_exactly(trainer):
    """The figure was counted on the model itself: 6 layers of 256, 2048 tokens, no value embeddings."""
    reference = {"DEPTH": 6, "WIDTH": 256, "HEAD_DIM": 64, "MLP_RATIO": 4.0, "VOCAB_SIZE": 2048, "VALUE_EMBEDDINGS": False}
    (told,) = estimate(CPU_PROFILE, reference)
    assert told["observables"]["params"] == 5_767_180
