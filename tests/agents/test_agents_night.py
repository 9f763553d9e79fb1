"""Whole nights through the real loop against the local Messages server; `make bench-claude` in small."""

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.long
def test_a_night_with_a_failing_model_keeps_the_device_busy_loses_nothing_and_adds_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = Path(__file__).parents[2] / "bench" / "claude.py"
    spec = importlib.util.spec_from_file_location("bench_claude", file)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, spec.name, bench)  # its dataclasses look their module up
    spec.loader.exec_module(bench)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    result = bench.night(tmp_path, hours=1.0, overlap=True, cap_usd=5.0, seed=3)
    assert (result.lost, result.unaccounted) == (0, 0)
    assert result.spend_error_usd < 0.01
    assert result.by_agent["claude"] > 4
    assert result.idle_share < 0.1  # the host shares its cores with other tests
