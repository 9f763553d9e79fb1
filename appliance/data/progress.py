"""How a long transfer tells where it is."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then while bytes arrive."""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """`what` is being fetched; `done` of `total` bytes are here (None: the sender does not say)."""


def silent(what: str, done: int, total: int | None) -> None:
    """Says nothing."""
