"""The whole probe, as a sandbox starts it, and a measurement made of what it wrote."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from appliance import paths
from appliance.hardware import choose, detect
from appliance.profiles import from_probe, show_lines, verify

PROBE = paths.share("probe")


def _run(torch_python: str, out: Path, params: dict[str, object]) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(out),
        "APPLIANCE_OUT": str(out),
        "APPLIANCE_NONCE": "n0nce",
        "APPLIANCE_PARAMS": json.dumps(params),
    }
    return subprocess.run([torch_python, "-P", str(PROBE)], capture_output=True, text=True, env=environment, check=False, timeout=300)


@pytest.mark.long
def test_a_quick_measurement_of_this_cpu_passes_verify(torch_python: str, tmp_path: Path) -> None:
    done = _run(torch_python, tmp_path, {"mode": "quick", "device": "cpu"})
    assert done.returncode == 0, done.stderr
    assert "\n::appliance n0nce done\n" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".json"] == ["measurement.json"]
    raw = json.loads((tmp_path / "measurement.json").read_text())
    measurement = from_probe(raw, choose(detect(), "cpu"), {"isolation": "none"})
    # A busy machine marks its result; nothing else may be wrong with it.
    assert {finding.field for finding in verify(measurement, [])} <= {"shared_device"}
    backends = {result.backend: result for result in measurement.attention}
    assert backends["sdpa_math"].accepted
    assert all(result.accepted or result.reason for result in measurement.attention)
    assert show_lines(measurement)


def test_a_mode_that_does_not_exist_is_refused(torch_python: str, tmp_path: Path) -> None:
    done = _run(torch_python, tmp_path, {"mode": "fast"})
    assert done.returncode == 1
    assert "mode must be quick or full" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_not_there_is_a_plain_sentence(torch_python: str, tmp_path: Path) -> None:
    done = _run(torch_python, tmp_path, {"mode": "quick", "device": "cuda"})
    if done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert "no GPU can be used here" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "measurement.json").exists()
