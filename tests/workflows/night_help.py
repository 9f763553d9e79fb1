"""How a real night may end in a test."""

import subprocess

import pytest

from appliance.records import Night


def ended_well(done: subprocess.CompletedProcess[str]) -> None:
    """Exit 0; skips, with the reason, where the machine was too busy to measure on: that is an answer, and no fault."""
    if done.returncode == 1 and "too busy to measure on" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3000:]


def had_its_time(night: Night, *, enough: bool) -> None:
    """Skips, with the reason, where disturbed runs were repeated until the clock no longer held what a test looks for."""
    disturbed = sum(run.status == "invalid" for run in night.runs)
    if disturbed and not enough:
        pytest.skip(f"too busy a machine: {disturbed} of {len(night.runs)} runs were disturbed, repeating them took the clock")
