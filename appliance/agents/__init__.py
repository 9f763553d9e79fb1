"""Whoever proposes: `search` (built in, no key), `claude`, `hybrid` (both, in a stated share), any `command`, `replay`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.agents.base import Agent
from appliance.errors import UsageError

__all__ = ["NAMES", "Agent", "check", "create"]

NAMES = ("search", "claude", "hybrid", "command", "replay")

HYBRID_SHARE = 0.3
"""Of the experiments that are the model's in `hybrid`: what was best at equal budget on a task of this kind."""


def create(name: str, *, seed: int, options: Mapping[str, Any], state: Mapping[str, Any] | None = None) -> Agent:
    """The agent of that name, with the state an interrupted one left.

    Raises:
        UsageError: there is none, or its options are wrong.
        PrerequisiteError: it needs something this machine lacks (a key).
    """
    if name == "search":
        from appliance.agents.search import Search

        _none_left(name, options)
        return Search(seed, state)
    if name in ("claude", "hybrid"):
        from appliance.agents.ahead import Ahead
        from appliance.agents.claude import Claude, Model
        from appliance.agents.claude import options as checked

        chosen = checked(options)
        share = chosen.share or (HYBRID_SHARE if name == "hybrid" else None)
        thinker = Claude(chosen, Model(chosen), (state or {}).get("thinker"))
        return Ahead(thinker, seed=seed, share=share, overlap=chosen.overlap, state=state, name=name)
    if name == "command":
        from appliance.agents.ahead import Ahead
        from appliance.agents.command import Command

        _none_left(name, options, "command")
        return Ahead(Command(str(options.get("command", ""))), seed=seed, state=state)
    if name == "replay":
        from appliance.agents.replay import Replay

        _none_left(name, options, "replay")
        return Replay([Path(file) for file in options.get("replay", ())], dict(state or {}))
    raise UsageError(f"no agent {name!r}; known: {', '.join(NAMES)}")


def check(name: str, options: Mapping[str, Any]) -> None:
    """Raise what `create` would raise, before anything is set up for a night; ask the API once whether key and model are good."""
    if name in ("claude", "hybrid"):
        from appliance.agents.claude import Model
        from appliance.agents.claude import options as checked

        model = Model(checked(options))
        try:
            model.check()
        finally:
            model.close()
        return
    create(name, seed=0, options=options).close()


def _none_left(name: str, options: Mapping[str, Any], *known: str) -> None:
    foreign = sorted(set(options) - set(known))
    if foreign:
        raise UsageError(f"the agent {name} has no option {foreign[0]!r}")
