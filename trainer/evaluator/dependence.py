"""Show from the operations themselves that no logit can depend on a later token or on another row.

The graph is walked once over *codes* instead of numbers. Every element of every tensor carries the latest token it can depend on (row · T
+ place), and in a second walk the earliest row; an element that depends on no token carries BOTTOM. Each operation has a rule that says
how codes combine: element by element for arithmetic, along the reduced dimensions for reductions, along time for scans and recurrent
cells, and moved like the data by views. An operation without a rule gives every element the largest code of everything it was given: the
argument is then lost, never wrong. If in the end logit [r, i] carries nothing beyond token i of row r, there is no way for a later token
to reach it.

Facts about values are used, and all are watched while the real batches run; if one ever fails, the argument does not count:

* A factor that is exactly 0 blocks a product's other factor. So it must be 0 there, and the other factor finite. What is left of that
  factor is the sign of the zero, which `copysign` or a reciprocal would read: it is taken away as soon as the product is made.
* A score that a constant mask made very negative has weight exactly 0 after softmax. So those weights must be 0. In float16 that would
  not be enough: a weight of 2⁻²⁶ is 0 in the result and not in the sum, which is float32. There masks count for nothing.

Tensors that depend on no token (masks, tables, products of weights) are computed for real, once, and their zeros are known. What this
cannot show (routing that sorts tokens of different places, FFT convolutions, transposed time) is left to the statistics of `proof.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from codes import Known, Lost, Node, count_elements, flat, top
from program import Program, Reference
from rules import RULES
from torch import Tensor

MAX_ELEMENTS = 1 << 31


@dataclass(slots=True)
class Watch:
    """What must hold while the graph runs, for the argument to count."""

    finite: set[tuple[int, int | None]]
    """(node, item) whose values must all be finite."""
    zero: dict[tuple[int, int | None], Tensor]
    """(node, item) → where it must be exactly 0."""
    unsigned: set[int]
    """Nodes whose zeros lose their sign as soon as they are made."""
    broken: bool = False

    def callbacks(self) -> Mapping[int, Callable[[Any], None]]:
        """For `Program.__call__`."""
        places = {node for node, _ in [*self.finite, *self.zero]} | self.unsigned
        return {index: self._look(index) for index in places}

    def _look(self, index: int) -> Callable[[Any], None]:
        finite = [item for node, item in self.finite if node == index]
        zero = {item: mask for (node, item), mask in self.zero.items() if node == index}

        def look(result: Any) -> None:
            if any(not _finite(result if item is None else result[item]) for item in finite):
                self.broken = True
            if any(bool(((result if item is None else result[item]).ne(0) & mask).any()) for item, mask in zero.items()):
                self.broken = True
            if index in self.unsigned and (result.is_floating_point() or result.is_complex()):
                result.add_(0.0)  # −0 + 0 is +0, and nothing else changes

        return look


def _finite(value: Tensor) -> bool:
    if value.is_floating_point() and value.numel() < 1 << 26:
        value = value.sum(dtype=torch.float64)  # not finite if one of them is not; cheaper than a mask of all
    return bool(torch.isfinite(value).all())


def prove_causal(program: Program) -> Watch | None:
    """What must be watched so that every logit [r, i] depends on tokens 0..i of row r alone; None where that cannot be shown."""
    rows, length = program.batch, program.length
    device = program.device
    program.settle()
    place = torch.arange(rows * length, dtype=torch.int32, device=device).reshape(rows, length)
    row = (place // length) * length
    try:
        walk = _Walk(program, place)
        latest = walk.run()
        if not bool((latest <= place[..., None]).all()):
            return None
        del latest
        earliest = _Walk(program, -row).run()  # the smallest row, as the largest negative
        if not bool((earliest <= -row[..., None]).all()):
            return None
    except (Lost, RuntimeError, IndexError, TypeError, ValueError, KeyError, NotImplementedError):
        return None
    return Watch(finite=walk.must_be_finite, zero=walk.must_be_zero, unsigned=walk.unsigned)


class _Walk:
    """One walk over the graph with codes."""

    def __init__(self, program: Program, codes: Tensor) -> None:
        self.program, self.codes = program, codes
        self.must_be_finite: set[tuple[int, int | None]] = set()
        self.must_be_zero: dict[tuple[int, int | None], Tensor] = {}
        self.unsigned: set[int] = set()
        self.results: list[Any] = [(program.constants or {}).get(index) for index in range(len(program.calls))]
        self.shapes = program.shapes

    def run(self) -> Tensor:
        """Codes of the logits."""
        with torch.no_grad():
            for index, (operation, args, kwargs) in enumerate(self.program.calls):
                if not self.program.varies[index]:
                    continue
                self.results[index] = self._node(index, operation, args, kwargs)
                for freed in self.program.frees[index]:
                    self.results[freed] = None
        output = self._get(Reference(self.program.graph.output))
        if not isinstance(output, Known):
            raise Lost
        return output.code

    def _get(self, value: Any) -> Any:
        """Argument → Known where it depends on tokens, the real tensor or literal where not."""
        if type(value) is list:
            return [self._get(item) for item in value]
        if type(value) is not Reference:
            return value
        if value.node is None:
            return Known(self.codes) if value.weight is None else self.program.weights[value.weight]
        result = self.results[value.node]
        return result if value.item is None else result[value.item]

    def _node(self, index: int, operation: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        name = operation._schema.name.removeprefix("aten::")
        values = [self._get(value) for value in args]
        named = {key: self._get(value) for key, value in kwargs.items()}
        for argument, value in zip(operation._schema.arguments, values, strict=False):
            named.setdefault(argument.name, value)
        for argument in operation._schema.arguments:
            if argument.name not in named:
                named[argument.name] = argument.default_value if argument.has_default_value() else None
        shapes = self.shapes[index]
        if sum(count_elements(shape) for shape in shapes) > MAX_ELEMENTS:
            raise Lost
        rule, considered = RULES.get(name, (None, frozenset()))
        unseen = {key for key, value in named.items() if any(isinstance(leaf, Known) for leaf in flat([value]))} - considered
        result = (
            None if rule is None or (considered and unseen) else rule(Node(self, index, operation, values, named, args, kwargs, shapes))
        )
        if result is None:
            highest = top([value for value in flat(list(named.values())) if isinstance(value, Known)])
            spread = [Known(highest.expand(shape)) for shape in shapes]
            result = spread if len(spread) > 1 or isinstance(operation._schema.returns[0].type, torch.ListType) else spread[0]
        for known, shape in zip(result if isinstance(result, list) else [result], shapes, strict=True):
            if tuple(known.code.shape) != shape:
                raise Lost
        return result
