"""Hermetic by default: home, caches, nights and the working folder are temporary; the engine is asked once."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in ("APPLIANCE_NIGHTS", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APPLIANCE_STATE", str(home / "state"))
    monkeypatch.setenv("APPLIANCE_NIGHTS", str(home / "nights"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need an engine skip with the reason where none answers; `make test` sees to it that one does."""
    if not any(item.get_closest_marker("engine") for item in items):
        return
    reason = _engine_missing()
    if reason:
        if os.environ.get("APPLIANCE_REQUIRE_ENGINE"):
            raise pytest.UsageError(f"an engine is required here: {reason}")
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(pytest.mark.skip(reason=reason))


def _engine_missing() -> str | None:
    from appliance.errors import ApplianceError
    from appliance.sandbox import engine

    try:
        engine.connect().close()
    except ApplianceError as error:
        return str(error)
    return None
