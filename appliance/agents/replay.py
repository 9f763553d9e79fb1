"""An agent that plays a list: each file is one whole asset, tried in order. For repeating someone's night, and for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.errors import UsageError
from appliance.records import Experiment, Proposal, Run, View


class Replay:
    """Proposes the given files, one after the other, as changes of the task's only editable file."""

    name = "replay"

    def __init__(self, files: Sequence[Path], state: dict[str, Any] | None = None) -> None:
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise UsageError(f"replay: {missing[0]} is not a file")
        if not files:
            raise UsageError("replay needs files to play: --replay FILE, once for each")
        self._files = list(files)
        self._next = int((state or {}).get("next", 0))

    def propose(self, view: View) -> Proposal | None:
        """The next file."""
        if self._next >= len(self._files):
            return None
        file = self._files[self._next]
        self._next += 1
        name = view.task.asset.files[0]
        text = file.read_text(encoding="utf-8", errors="replace")
        return Proposal(
            files={**view.asset, name: text}, hypothesis=f"replay of {file.name}", agent=self.name, parent_sha256=view.asset_sha256
        )

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """A list does not learn."""

    def notes(self) -> list[str]:
        """Nothing to say."""
        return []

    def account(self) -> dict[str, Any]:
        """It costs nothing."""
        return {}

    def dump(self) -> dict[str, Any]:
        """How far it played."""
        return {"next": self._next}

    def close(self) -> None:
        """Nothing to end."""
