"""The one small protocol between a night and whoever proposes."""

from collections.abc import Sequence
from typing import Any, Protocol

from appliance.records import Experiment, Proposal, Run, View


class Agent(Protocol):
    """Proposes changes and learns what became of them. Never touches a sandbox.

    A proposal carries the whole new text of the editable files. An agent must not fail because of what it is shown; where it cannot go on
    (a model that does not answer) it returns None and the night says so.
    """

    name: str

    def propose(self, view: View) -> Proposal | None:
        """The next change of the incumbent; None when nothing is left to try."""

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """What became of a proposal; `runs` are whole rows, with curve and log tail."""

    def notes(self) -> list[str]:
        """Lines for people since it was last asked: what it could not do, and what it does instead. Never a key."""

    def account(self) -> dict[str, Any]:
        """What it used: model, dated prices, calls, tokens, cost, answers by kind. Empty where nothing was."""

    def dump(self) -> dict[str, Any]:
        """State worth keeping over an interruption, JSON-able; given to the next agent of that name."""

    def close(self) -> None:
        """End threads and connections."""
