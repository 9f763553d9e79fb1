"""Thinking while the device works: proposals of a slow thinker are prepared in a thread, and the built-in search fills every gap.

The next proposal is prepared during the running experiment, on the prediction that the incumbent stays (true about five times in six).
Where it fell, the prepared change is applied to the new incumbent if it still fits, else dropped, and both are said. `propose` therefore
never waits for a model, unless overlap is off or the search itself has nothing left.
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from appliance.agents.search import Search
from appliance.records import Experiment, Proposal, Run, View
from appliance.records.base import Record

_THREAD = "appliance-thinking"
_RUNS_TO_GAIN = 2.0
"""Thinking begins only while the search has time for this many runs: a later proposal could not be tried."""


class Prepared(Record, frozen=True, kw_only=True):
    """A proposal that waits for its turn."""

    proposal: Proposal
    blocks: list[tuple[str, list[str], list[str]]] | None = None
    """File, lines searched, lines put in their place; what can be applied to another incumbent. None: whole files, which cannot."""


class Thinker(Protocol):
    """Whoever needs time to think: a model, a person's command."""

    name: str

    def think(self, view: View, running: Proposal | None) -> list[Prepared]:
        """The next proposals, refused ones first; empty where none came. Called in a thread of its own; may take minutes."""

    def rebase(self, prepared: Prepared, view: View) -> dict[str, str] | str:
        """Its change made to another incumbent: the files, or why it cannot be."""

    def ready(self) -> bool:
        """Whether thinking again could help; False while it waits for a server and once it gave up."""

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """What became of any proposal, its own or the search's."""

    def notes(self) -> list[str]:
        """As `Agent.notes`."""

    def account(self) -> dict[str, Any]:
        """As `Agent.account`."""

    def dump(self) -> dict[str, Any]:
        """As `Agent.dump`."""

    def close(self) -> None:
        """Thinking begins nothing new; what waits, ends."""


class Ahead:
    """An agent out of a thinker and the built-in search."""

    def __init__(
        self,
        thinker: Thinker,
        *,
        seed: int,
        share: float | None = None,
        overlap: bool = True,
        state: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> None:
        state = state or {}
        self.name = name or thinker.name
        self._thinker, self._share, self._overlap = thinker, share, overlap
        self._search = Search(seed, state.get("search"))
        self._queue: deque[Prepared] = deque(msgspec.convert(state.get("queue", []), list[Prepared]))
        self._counts: dict[str, int] = {"own": 0, "search": 0, "filled": 0, "rebased": 0, "dropped": 0, **state.get("counts", {})}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._notes: list[str] = []
        self._closed = False

    def propose(self, view: View) -> Proposal | None:
        """What is prepared; else what the search proposes meanwhile."""
        proposal = None
        if not self._searchs_turn():
            proposal = self._take(view)
            if proposal is None and not self._overlap and self._worth_thinking(view):
                self._think(view, None)
                proposal = self._take(view)
        if proposal is None:
            proposal = self._search.propose(view)
            if proposal is not None:
                self._counts["search" if self._searchs_turn() else "filled"] += 1
            elif self._worth_thinking(view):  # nothing to fill the gap with: wait
                self._begin(view, None)
                self._wait()
                proposal = self._take(view)
        if proposal is not None and self._overlap and self._worth_thinking(view):
            self._begin(view, None if proposal.refused else proposal)
        return proposal

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """Both learn from everything."""
        self._search.observe(experiment, runs, proposal)
        try:
            self._thinker.observe(experiment, runs, proposal)
        except Exception as error:  # as in `_think`
            with self._lock:
                self._notes.append(f"{self.name} could not take in experiment {experiment.experiment} ({type(error).__name__})")

    def notes(self) -> list[str]:
        """Of the thinker, and failures of the thread."""
        with self._lock:
            mine, self._notes = self._notes, []
        return [*mine, *self._thinker.notes()]

    def account(self) -> dict[str, Any]:
        """The thinker's, with who proposed how often."""
        return {**self._thinker.account(), "proposals": dict(self._counts)}

    def dump(self) -> dict[str, Any]:
        """Both states and the queue."""
        with self._lock:
            queue = msgspec.to_builtins(list(self._queue))
        return {"search": self._search.dump(), "thinker": self._thinker.dump(), "queue": queue, "counts": dict(self._counts)}

    def close(self) -> None:
        """Nothing new begins. A call under way cannot be taken back: it ends on its own, and is accounted for where it ends in time."""
        self._closed = True
        self._thinker.close()
        if self._thread is not None:
            self._thread.join(timeout=0.5)

    def _searchs_turn(self) -> bool:
        """Where the thinker shall have only a share: whether it has had it."""
        if self._share is None:
            return False
        own = self._counts["own"]
        return own >= self._share * (own + self._counts["search"] + self._counts["filled"] + 1)

    def _take(self, view: View) -> Proposal | None:
        """The oldest prepared proposal, made to fit the incumbent of now."""
        with self._lock:
            prepared = self._queue.popleft() if self._queue else None
        if prepared is None:
            return None
        proposal = prepared.proposal
        if proposal.refused is not None:
            return msgspec.structs.replace(proposal, files=dict(view.asset), parent_sha256=view.asset_sha256)
        self._counts["own"] += 1
        if proposal.parent_sha256 == view.asset_sha256:
            return proposal
        files = self._thinker.rebase(prepared, view)
        if isinstance(files, str):
            self._counts["own"] -= 1
            self._counts["dropped"] += 1
            why = f"dropped: it was written against another incumbent, and {files}"
            return msgspec.structs.replace(proposal, files=dict(view.asset), parent_sha256=view.asset_sha256, refused=why)
        self._counts["rebased"] += 1
        return msgspec.structs.replace(proposal, files=files, parent_sha256=view.asset_sha256)

    def _worth_thinking(self, view: View) -> bool:
        return not self._closed and self._thinker.ready() and view.seconds_left > _RUNS_TO_GAIN * view.seconds_per_run

    def _begin(self, view: View, running: Proposal | None) -> None:
        """Think in a thread, unless one thinks already or the queue is full."""
        with self._lock:
            waiting = any(prepared.proposal.refused is None for prepared in self._queue)
        if waiting or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._think, args=(view, running), name=_THREAD, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        while self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout=0.2)  # in pieces, so that Ctrl-C is heard

    def _think(self, view: View, running: Proposal | None) -> None:
        try:
            prepared = self._thinker.think(view, running)
        except Exception as error:  # a thinker must never be the reason a night dies
            prepared = []
            with self._lock:
                self._notes.append(f"{self.name} failed while thinking ({type(error).__name__}); the search goes on")
        with self._lock:
            if not self._closed:
                self._queue.extend(prepared)
