"""Whoever proposes: `search` (built in, no key), `claude`, `replay`, or any command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.agents.base import Agent
from appliance.errors import UsageError

__all__ = ["NAMES", "Agent", "check", "create"]

NAMES = ("search", "replay")


def create(name: str, *, seed: int, options: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> Agent:
    """The agent of that name, with the state an interrupted one left.

    Raises:
        UsageError: there is none, or its options are wrong.
        PrerequisiteError: it needs something this machine lacks (a key).
    """
    if name == "search":
        from appliance.agents.search import Search

        return Search(seed, state)
    if name == "replay":
        from appliance.agents.replay import Replay

        return Replay([Path(file) for file in options.get("replay", ())], dict(state or {}))
    raise UsageError(f"no agent {name!r}; known: {', '.join(NAMES)}")


def check(name: str, options: Mapping[str, Any]) -> None:
    """Raise what `create` would raise, before anything is set up for a night."""
    create(name, seed=0, options=options).close()
