"""A short real night of the trainer: real text, real containers, the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from night_help import ended_well, had_its_time

from appliance import ledger


@pytest.mark.engine
def test_a_short_real_night_measures_real_training(machine: Path):
    command = [sys.executable, "-m", "appliance", "overnight", "--hours", "0.06", "--preset", "cpu-quick", "--device", "cpu", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=dict(os.environ))
    ended_well(done)
    folder = Path(json.loads(done.stdout)["folder"])
    night = ledger.read(folder)
    scored = [run for run in night.runs if run.status == "ok"]
    had_its_time(night, enough=bool(night.experiments))
    assert len(scored) >= 4
    assert night.experiments
    for run in scored:
        assert run.isolation == "docker"
        assert run.score is not None
        assert 0.6 < run.score < 8
        assert run.scores[0].score_legacy is not None
        assert run.observables["steps"] >= 1
        assert run.curve
    assert (folder / "report.html").stat().st_size < 300_000
