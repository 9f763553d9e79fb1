"""Rebuild a checked graph as something that runs: one call per node, each result freed after its last use.

The operations come from `torch.ops.aten` by a name that is on the allowlist. Before it ever runs, the graph is walked once on the `meta`
device, where tensors have shapes but no memory: that gives every result's size, and a graph that would not fit is refused without having
allocated anything. What depends on no token is computed once: a sum by atomics may come out otherwise the second time, and whatever was
argued from its value would no longer hold.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from graph_format import FormatError, Graph
from operations import operations
from torch import Tensor

_MATRIX_PRODUCTS = {"aten::mm": 0, "aten::addmm": 1, "aten::linear": 0}
"""Operation → place of the argument whose last dimension is summed over."""
_LITERALS = {"dtype": torch, "memory_format": torch}


def warm() -> None:
    """Load what the meta device loads at its first use, about a second: for before there is an artifact."""
    table = torch.empty((1, 1), device="meta")
    torch.ops.aten.embedding.default(table, torch.empty((1,), dtype=torch.int64, device="meta")).mul(table)


class Program:
    """A graph that can be called: int64 [B, T] → logits [B, T, V]."""

    def __init__(self, graph: Graph, weights: list[Tensor], device: torch.device) -> None:
        self.batch, self.length = graph.batch, graph.length
        self.graph = graph
        self.device = device
        self.weights = weights
        self._output = graph.output
        self.shapes: list[list[tuple[int, ...]]] = []
        """Per node, of each result; known once the graph was measured."""
        self.dtypes: list[list[torch.dtype]] = []
        self.calls: list[tuple[Callable[..., Any], list[Any], dict[str, Any]]] = []
        self.varies: list[bool] = []
        """Per node: whether it depends on the tokens."""
        self.constants: dict[int, Any] | None = None
        """Node → result, of those that do not and that others read; None until `settle`."""
        last: dict[int, int] = {}
        read: set[int] = {graph.output["node"]}
        for index, node in enumerate(graph.nodes):
            name, _, overload = node["op"].removeprefix("aten.").rpartition(".")
            if node["op"].removeprefix("aten.") not in operations():
                raise FormatError(f"operation {node['op']!r:.80} is not on the list")
            operation = getattr(getattr(torch.ops.aten, name), overload)
            kwargs = {key: literal(value) for key, value in node["kwargs"].items()}
            if any(argument.name == "device" for argument in operation._schema.arguments) and "Tensor self" not in str(operation._schema):
                kwargs["device"] = device
            args = [literal(value) for value in node["args"]]
            self.calls.append((operation, args, kwargs))
            given = references([args, list(kwargs.values())])
            self.varies.append(any(one.weight is None and (one.node is None or self.varies[one.node]) for one in given))
            for one in given:
                if one.node is not None:
                    last[one.node] = index
                    if self.varies[index]:
                        read.add(one.node)
        last[graph.output["node"]] = len(graph.nodes)
        self.frees: list[list[int]] = [[] for _ in graph.nodes]
        for index, varies in enumerate(self.varies):
            if last.get(index, index) < len(graph.nodes) and (varies or index not in read):
                self.frees[last.get(index, index)].append(index)

    def __call__(self, tokens: Tensor, watch: Mapping[int, Callable[[Any], None]] | None = None) -> Tensor:
        """Run the graph. `watch` calls back with the result of the nodes it names."""
        settled = self.constants or {}
        results: list[Any] = [settled.get(index) for index in range(len(self.calls))]
        self._run(results, tokens, [varies or self.constants is None for varies in self.varies], watch or {})
        return self._resolve(Reference(self._output), tokens, results)

    def settle(self) -> None:
        """Compute what depends on no token, for every later call."""
        results: list[Any] = [None] * len(self.calls)
        self._run(results, None, [not varies for varies in self.varies], {})
        self.constants = {index: result for index, result in enumerate(results) if result is not None}

    def _run(self, results: list[Any], tokens: Tensor | None, wanted: list[bool], watch: Mapping[int, Callable[[Any], None]]) -> None:
        with torch.no_grad():
            for index, (operation, args, kwargs) in enumerate(self.calls):
                if not wanted[index]:
                    continue
                bound = [self._resolve(value, tokens, results) for value in args]
                named = {key: self._resolve(value, tokens, results) for key, value in kwargs.items()}
                results[index] = operation(*bound, **named)
                if index in watch:
                    watch[index](results[index])
                for freed in self.frees[index]:
                    results[freed] = None

    def _resolve(self, value: Any, tokens: Tensor | None, results: list[Any]) -> Any:
        if type(value) is Reference:
            if value.node is not None:
                result = results[value.node]
                return result if value.item is None else result[value.item]
            return tokens if value.weight is None else self.weights[value.weight]
        if type(value) is list:
            return [self._resolve(item, tokens, results) for item in value]
        return value

    def measure(self, limit_bytes: int) -> tuple[tuple[int, ...], torch.dtype, set[torch.dtype]]:
        """Walk the graph on the meta device: (output shape, its dtype, every dtype that occurs).

        Raises:
            FormatError: an operation does not fit its arguments, or what lives at once exceeds `limit_bytes`.
        """
        meta = torch.device("meta")
        twin = Program.__new__(Program)
        twin.__dict__.update(self.__dict__)
        twin.calls = [(o, a, {**k, "device": meta} if "device" in k else k) for o, a, k in self.calls]
        twin.weights = [weight.to(meta) for weight in self.weights]
        dtypes: set[torch.dtype] = {weight.dtype for weight in self.weights}
        sizes: list[int] = [0] * len(self.calls)
        live = 0
        self.shapes = [[] for _ in self.calls]
        self.dtypes = [[] for _ in self.calls]

        def account(index: int) -> Callable[[Any], None]:
            def look(result: Any) -> None:
                nonlocal live
                self._check_bounds(index)
                for tensor in result if isinstance(result, (list, tuple)) else [result]:
                    dtypes.add(tensor.dtype)
                    self.shapes[index].append(tuple(tensor.shape))
                    self.dtypes[index].append(tensor.dtype)
                    if self.calls[index][0]._schema.returns[0].alias_info is None:  # a view takes no memory of its own
                        sizes[index] += tensor.numel() * tensor.element_size()
                live += sizes[index]
                if live > limit_bytes:
                    raise FormatError(
                        f"node {index} ({self.graph.nodes[index]['op']}) would bring the graph to {live} bytes, more than {limit_bytes}"
                    )
                live -= sum(sizes[freed] for freed in self.frees[index])

            return look

        try:
            output = twin(
                torch.empty((self.batch, self.length), dtype=torch.int64, device=meta), {i: account(i) for i in range(len(self.calls))}
            )
        except FormatError:
            raise
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise FormatError(f"the graph does not fit together: {lines[0]:.200}") from error
        if not isinstance(output, Tensor):
            raise FormatError("the graph's output is not one tensor")
        return tuple(output.shape), output.dtype, dtypes

    def _check_bounds(self, index: int) -> None:
        """Refuse what torch itself does not check on every device: an inverse transform that reads more than it was given."""
        operation, args, _ = self.calls[index]
        if operation._schema.name == "aten::_fft_c2r":
            if len(args) < 4:
                raise FormatError(f"node {index} (aten._fft_c2r): give its arguments by position")
            source, dims, _, size = args
            if not dims or self.shape(source)[dims[-1]] != size // 2 + 1:
                raise FormatError(f"node {index} (aten._fft_c2r): {size} values are not made of {list(self.shape(source))}")

    def product_flops(self) -> int:
        """FLOPs of the products with matrices (not of attention) in one call of a measured graph."""
        total = 0
        for (operation, args, _), shapes in zip(self.calls, self.shapes, strict=True):
            place = _MATRIX_PRODUCTS.get(operation._schema.name)
            if place is not None and place < len(args):
                total += 2 * math.prod(shapes[0]) * self.shape(args[place])[-1]
        return total

    def shape(self, reference: "Reference") -> tuple[int, ...]:
        """Of what an argument of a measured graph refers to."""
        if reference.node is not None:
            return self.shapes[reference.node][reference.item or 0]
        return (self.batch, self.length) if reference.weight is None else tuple(self.weights[reference.weight].shape)


class Reference:
    """Where an argument comes from."""

    __slots__ = ("item", "node", "weight")

    def __init__(self, value: Mapping[str, Any]) -> None:
        self.node = value.get("node")
        self.item = value.get("item")
        self.weight = value.get("weight")


def literal(value: Any) -> Any:
    """A JSON argument of a checked graph as torch wants it; references as `Reference`."""
    if type(value) is list:
        return [literal(item) for item in value]
    if type(value) is not dict:
        return value
    if "float" in value:
        return float(value["float"])
    for tag, module in _LITERALS.items():
        if tag in value:
            return getattr(module, value[tag])
    return Reference(value)


def references(value: Any) -> list[Reference]:
    """All that an argument refers to."""
    if type(value) is list:
        return [reference for item in value for reference in references(item)]
    return [value] if type(value) is Reference else []
