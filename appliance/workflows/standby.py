"""The train box of the next run, made while the last one is scored: its imports are done when its asset comes.

It holds nothing of any asset. Its asset's folder is empty until its turn, so nothing can pass from one run to the next.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance import sandbox, temporary
from appliance.errors import SandboxError

Make = Callable[[Path], contextlib.AbstractContextManager[sandbox.Box]]
"""From the folder in which the asset will lie, to a started box that sees it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A started train box without an asset."""

    data_sha256: str
    """Of the corpus it trains on."""
    asset: Path
    box: sandbox.Box
    close: Callable[[], None]


class Standby:
    """At most one box ahead."""

    def __init__(self) -> None:
        self._next: Waiting | None = None

    def prepare(self, data_sha256: str, make: Make) -> None:
        """Make a box for the next run. Where the sandbox fails, the next run will say so."""
        self.close()
        with contextlib.suppress(SandboxError):
            self._next = _open(data_sha256, make)

    @contextlib.contextmanager
    def take(self, data_sha256: str, make: Make) -> Iterator[Waiting]:
        """The box that stands by for this corpus, or one made now; removed afterwards.

        Raises:
            SandboxError: the engine failed.
        """
        if self._next is not None and not _serves(self._next, data_sha256):
            self.close()
        waiting, self._next = self._next or _open(data_sha256, make), None
        try:
            yield waiting
        finally:
            waiting.close()

    def close(self) -> None:
        """Remove the box that stands by; one that the engine does not give up now is swept when the night goes on."""
        waiting, self._next = self._next, None
        if waiting is not None:
            with contextlib.suppress(SandboxError):
                waiting.close()


def _serves(waiting: Waiting, data_sha256: str) -> bool:
    try:
        return waiting.data_sha256 == data_sha256 and waiting.box.lives
    except SandboxError:
        return False


def _open(data_sha256: str, make: Make) -> Waiting:
    with contextlib.ExitStack() as stack:
        asset = stack.enter_context(temporary.folder("asset"))
        box = stack.enter_context(make(asset))
        return Waiting(data_sha256=data_sha256, asset=asset, box=box, close=stack.pop_all().close)
