"""What is known of a tensor while `dependence.py` walks a graph, and the small steps that its rules share."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from program import Program, Reference
from torch import Tensor

BOTTOM = -(1 << 30)
"""Code of what depends on no token."""
VERY_NEGATIVE = -1e4


@dataclass(slots=True)
class Known:
    """What is known of one tensor that depends on tokens."""

    code: Tensor
    zero: Tensor | None = None
    """bool: should be exactly 0, whatever the tokens; held to it where something is concluded from it."""
    negative: Tensor | None = None
    """bool: so low that softmax makes it 0."""


class Walk(Protocol):
    """The walk that a node belongs to."""

    program: Program
    codes: Tensor
    must_be_finite: set[tuple[int, int | None]]
    must_be_zero: dict[tuple[int, int | None], Tensor]
    unsigned: set[int]


class Lost(Exception):
    """The argument cannot be made."""


@dataclass(slots=True)
class Node:
    """One operation with what is known of its arguments."""

    walk: Walk
    index: int
    operation: Any
    values: list[Any]
    named: dict[str, Any]
    args: list[Any]
    kwargs: dict[str, Any]
    shapes: list[tuple[int, ...]]

    def __getitem__(self, name: str) -> Any:
        return self.named[name]

    def _reference(self, name: str) -> Any:
        position = [argument.name for argument in self.operation._schema.arguments].index(name)
        return self.args[position] if position < len(self.args) else self.kwargs.get(name)

    def dtype(self, name: str | None = None) -> torch.dtype | None:
        """Of what the argument refers to, None where that is the tokens or a weight; of the first result without a name."""
        value = self._reference(name) if name is not None else Reference({"node": self.index})
        return self.walk.program.dtypes[value.node][value.item or 0] if isinstance(value, Reference) and value.node is not None else None

    def finite(self, name: str) -> None:
        """The argument must be finite when the graph runs."""
        value, reference = self.named[name], self._reference(name)
        if not isinstance(value, Known):
            if not bool(torch.isfinite(value).all()):
                raise Lost
        elif reference.node is not None:
            self.walk.must_be_finite.add((reference.node, reference.item))

    def zeros(self, name: str) -> Tensor | None:
        """Where the argument is 0; it must be when the graph runs."""
        value, reference = self.named[name], self._reference(name)
        zero = zeros_of(value)
        if zero is not None and isinstance(value, Known):
            self._hold((reference.node, reference.item), zero)
        return zero

    def zero(self, mask: Tensor) -> None:
        """The result must be 0 there when the graph runs."""
        self._hold((self.index, None), mask)

    def unsigned(self) -> None:
        """The zeros of the result lose their sign: that of 0 · x is x's, and x is said not to be in it."""
        self.walk.unsigned.add(self.index)

    def _hold(self, place: tuple[int, int | None], mask: Tensor) -> None:
        while mask.dim() > 2 and bool((mask == mask[:1]).all()):
            mask = mask[0]
        held = self.walk.must_be_zero.get(place)
        self.walk.must_be_zero[place] = mask.clone() if held is None else held | mask


def flat(value: Any) -> list[Any]:
    """Leaves of nested lists."""
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, list) else [value]


def count_elements(shape: tuple[int, ...]) -> int:
    """Of one shape."""
    count = 1
    for size in shape:
        count *= size
    return count


def top(values: list[Known]) -> Tensor:
    """The largest code of all of them."""
    return torch.stack(
        [known.code.amax() if known.code.numel() else torch.tensor(BOTTOM, dtype=torch.int32, device=known.code.device) for known in values]
    ).amax()


def code_of(value: Any, like: Tensor) -> Tensor:
    """Codes of an argument; BOTTOM for what depends on no token."""
    if isinstance(value, Known):
        return value.code
    shape = value.shape if isinstance(value, Tensor) else ()
    return torch.full((), BOTTOM, dtype=torch.int32, device=like.device).expand(shape)


def zeros_of(value: Any) -> Tensor | None:
    """Where an argument is known to be 0."""
    if isinstance(value, Known):
        return value.zero
    return value == 0 if isinstance(value, Tensor) and bool((value == 0).any()) else None


def negatives_of(value: Any, sign: float = 1.0) -> Tensor | None:
    """Where an argument is known to be very negative (very positive with sign −1)."""
    if isinstance(value, Known):
        return value.negative if sign > 0 else None
    if isinstance(value, Tensor) and value.is_floating_point():
        mask = value * sign <= VERY_NEGATIVE
        return mask if bool(mask.any()) else None
    return None


def either(first: Tensor | None, second: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """Union of two masks that may be unknown."""
    masks = [mask.expand(shape) for mask in (first, second) if mask is not None]
    return None if not masks else masks[0] if len(masks) == 1 else masks[0] | masks[1]


def knowns(node: Node) -> list[Known]:
    """Arguments that depend on tokens."""
    return [value for value in flat(list(node.named.values())) if isinstance(value, Known)]
