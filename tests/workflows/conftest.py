"""One measured profile for all real nights of a test session."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def measured_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def machine(measured_state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The root of the nights; what this machine learned is shared between tests."""
    monkeypatch.setenv("APPLIANCE_STATE", str(measured_state))
    monkeypatch.setenv("APPLIANCE_NIGHTS", str(tmp_path / "nights"))
    return tmp_path / "nights"
