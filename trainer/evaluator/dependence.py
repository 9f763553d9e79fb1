"""Show from the operations themselves that no logit can depend on a later token or on another row.

The graph is walked once over *codes* instead of numbers. Every element of every tensor carries the latest token it can depend on (row · T + place), and in a second
walk the earliest row; an element that depends on no token carries BOTTOM. Each operation has a rule that says how codes combine: element by element for
arithmetic, along the reduced dimensions for reductions, along time for scans and recurrent cells, and moved like the data by views. An operation
without a rule gives every element the largest code of everything it was given: the argument is then lost, never wrong. If in the end
logit [r, i] carries nothing beyond token i of row r, there is no way for a later token to reach it.

Two facts about values are used, and both are watched while the real batches run; if one ever fails, the argument does not count:

* A factor that is exactly 0 blocks a product's other factor. True unless that other factor is not finite, so it must be finite.
* A score that a constant mask made very negative has weight exactly 0 after softmax. So those weights must be 0.

Tensors that depend on no token (masks, tables, products of weights) are computed for real, and their zeros are known. What this cannot show (routing that sorts tokens of
different places, FFT convolutions, transposed time) is left to the statistics of `proof.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from program import Program, _Reference
from torch import Tensor

BOTTOM = -(1 << 30)
VERY_NEGATIVE = -1e4
MAX_ELEMENTS = 1 << 31


@dataclass(slots=True)
class Known:
    """What is known of one tensor that depends on tokens."""

    code: Tensor
    zero: Tensor | None = None
    """bool: exactly 0, whatever the tokens."""
    negative: Tensor | None = None
    """bool: so low that softmax makes it 0."""


@dataclass(slots=True)
class Watch:
    """What must hold while the graph runs, for the argument to count."""

    finite: set[tuple[int, int | None]]
    """(node, item) whose values must all be finite."""
    zero: dict[int, Tensor]
    """Node → where its result must be exactly 0."""
    broken: bool = False

    def callbacks(self) -> Mapping[int, Callable[[Any], None]]:
        """For `Program.__call__`."""
        result: dict[int, Callable[[Any], None]] = {}
        for index in {node for node, _ in self.finite} | set(self.zero):
            result[index] = self._look(index, [item for node, item in self.finite if node == index], self.zero.get(index))
        return result

    def _look(self, index: int, items: list[int | None], zero: Tensor | None) -> Callable[[Any], None]:
        def look(result: Any) -> None:
            for item in items:
                value = result if item is None else result[item]
                if value.is_floating_point() and not bool(
                    torch.isfinite(value.sum(dtype=torch.float64) if value.numel() < 1 << 26 else value).all()
                ):
                    self.broken = True
            if zero is not None and bool((result.ne(0) & zero).any()):
                self.broken = True

        return look


def prove_causal(program: Program) -> Watch | None:
    """What must be watched so that every logit [r, i] depends on tokens 0..i of row r alone; None where that cannot be shown."""
    rows, length = program.batch, program.length
    device = program.device
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
    except (_Lost, RuntimeError, IndexError, TypeError, ValueError, KeyError, NotImplementedError):
        return None
    return walk.watch


class _Lost(Exception):
    """The argument cannot be made."""


class _Walk:
    """One walk over the graph with codes."""

    def __init__(self, program: Program, codes: Tensor) -> None:
        self.program, self.codes = program, codes
        self.watch = Watch(set(), {})
        self.results: list[Any] = [None] * len(program.calls)
        self.shapes = program.shapes

    def run(self) -> Tensor:
        """Codes of the logits."""
        with torch.no_grad():
            for index, (operation, args, kwargs) in enumerate(self.program.calls):
                self.results[index] = self._node(index, operation, args, kwargs)
                for freed in self.program.frees[index]:
                    self.results[freed] = None
        output = self._get(_Reference(self.program.graph.output))
        if not isinstance(output, Known):
            raise _Lost
        return output.code

    def _get(self, value: Any) -> Any:
        """Argument → Known where it depends on tokens, the real tensor or literal where not."""
        if type(value) is list:
            return [self._get(item) for item in value]
        if type(value) is not _Reference:
            return value
        if value.node is None:
            return Known(self.codes) if value.weight is None else self.program.weights[value.weight]
        result = self.results[value.node]
        return result if value.item is None else result[value.item]

    def _node(self, index: int, operation: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        name = operation._schema.name.removeprefix("aten::")
        values = [self._get(value) for value in args]
        named = {key: self._get(value) for key, value in kwargs.items()}
        if not any(isinstance(value, Known) for value in _flat([values, list(named.values())])):
            return operation(*values, **named)
        for argument, value in zip(operation._schema.arguments, values, strict=False):
            named.setdefault(argument.name, value)
        for argument in operation._schema.arguments:
            if argument.name not in named:
                named[argument.name] = argument.default_value if argument.has_default_value() else None
        shapes = self.shapes[index]
        if sum(_count(shape) for shape in shapes) > MAX_ELEMENTS:
            raise _Lost
        rule, considered = _RULES.get(name, (None, frozenset()))
        unseen = {key for key, value in named.items() if any(isinstance(leaf, Known) for leaf in _flat([value]))} - considered
        result = (
            None if rule is None or (considered and unseen) else rule(_Node(self, index, operation, values, named, args, kwargs, shapes))
        )
        if result is None:
            top = _top([value for value in _flat(list(named.values())) if isinstance(value, Known)])
            spread = [Known(top.expand(shape)) for shape in shapes]
            result = spread if len(spread) > 1 or isinstance(operation._schema.returns[0].type, torch.ListType) else spread[0]
        for known, shape in zip(result if isinstance(result, list) else [result], shapes, strict=True):
            if tuple(known.code.shape) != shape:
                raise _Lost
        return result


@dataclass(slots=True)
class _Node:
    """One operation with what is known of its arguments."""

    walk: _Walk
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

    def dtype(self, name: str) -> torch.dtype | None:
        """Of the result that the argument refers to."""
        value = self._reference(name)
        return self.walk.program.dtypes[value.node][value.item or 0] if isinstance(value, _Reference) and value.node is not None else None

    def finite(self, name: str) -> None:
        """The argument must be finite when the graph runs."""
        value = self._reference(name)
        if isinstance(value, _Reference) and value.node is not None:
            self.walk.watch.finite.add((value.node, value.item))
        elif (
            isinstance(value, _Reference)
            and value.weight is not None
            and not bool(torch.isfinite(self.walk.program.weights[value.weight]).all())
        ):
            raise _Lost

    def zero(self, mask: Tensor) -> None:
        """The result must be 0 there when the graph runs."""
        while mask.dim() > 2 and bool((mask == mask[:1]).all()):
            mask = mask[0]
        self.walk.watch.zero[self.index] = mask.clone()


def _flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, list) else [value]


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _top(values: list[Known]) -> Tensor:
    return torch.stack(
        [known.code.amax() if known.code.numel() else torch.tensor(BOTTOM, dtype=torch.int32, device=known.code.device) for known in values]
    ).amax()


def _code(value: Any, like: Tensor) -> Tensor:
    """Codes of an argument; BOTTOM for what depends on no token."""
    if isinstance(value, Known):
        return value.code
    shape = value.shape if isinstance(value, Tensor) else ()
    return torch.full((), BOTTOM, dtype=torch.int32, device=like.device).expand(shape)


def _zero(value: Any) -> Tensor | None:
    """Where an argument is known to be 0."""
    if isinstance(value, Known):
        return value.zero
    return value == 0 if isinstance(value, Tensor) and bool((value == 0).any()) else None


def _negative(value: Any, sign: float = 1.0) -> Tensor | None:
    """Where an argument is known to be very negative (very positive with sign −1)."""
    if isinstance(value, Known):
        return value.negative if sign > 0 else None
    if isinstance(value, Tensor) and value.is_floating_point():
        mask = value * sign <= VERY_NEGATIVE
        return mask if bool(mask.any()) else None
    return None


def _either(first: Tensor | None, second: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    masks = [mask.expand(shape) for mask in (first, second) if mask is not None]
    return None if not masks else masks[0] if len(masks) == 1 else masks[0] | masks[1]


def _knowns(node: _Node) -> list[Known]:
    return [value for value in _flat(list(node.named.values())) if isinstance(value, Known)]


def _pointwise(node: _Node) -> Known:
    """Every element depends on the same elements of the arguments."""
    shape = node.shapes[0]
    codes = [known.code for known in _knowns(node)]
    code = codes[0].expand(shape)
    for other in codes[1:]:
        code = torch.maximum(code, other)
    return Known(code)


def _keeps_zero(node: _Node) -> Known:
    """Pointwise, and f(0) = 0."""
    known = _knowns(node)[0]
    return Known(known.code, zero=known.zero)


def _copy(node: _Node) -> Known:
    known = _knowns(node)[0]
    return Known(known.code, zero=known.zero, negative=known.negative)


def _scaled(node: _Node) -> Known:
    """Product: a known zero blocks the other factor. Quotient by a positive number: what is known stays known."""
    result = _pointwise(node)
    shape = node.shapes[0]
    first, second = node["self"], node["other"]
    for value, other in ((first, second), (second, first)):
        if isinstance(value, Known) and isinstance(other, (int, float)) and 0 < other < torch.inf:
            result.negative, result.zero = value.negative, value.zero
            return result
    zero = _either(_zero(first), _zero(second), shape)
    if zero is not None:
        node.zero(zero)
        result.zero, result.code = zero, result.code.masked_fill(zero, BOTTOM)
    return result


def _quotient(node: _Node) -> Known:
    first, other = node["self"], node["other"]
    if isinstance(other, (int, float)) and 0 < other < torch.inf and isinstance(first, Known):
        return Known(first.code, zero=first.zero, negative=first.negative)
    return _pointwise(node)


def _both(node: _Node) -> Known:
    """Logical and: a known False decides."""
    result = _pointwise(node)
    zero = _either(_zero(node["self"]), _zero(node["other"]), node.shapes[0])
    if zero is not None:
        result.zero, result.code = zero, result.code.masked_fill(zero, BOTTOM)
        node.zero(zero)
    return result


def _sum(node: _Node) -> Known:
    result = _pointwise(node)
    result.negative = _either(_negative(node["self"]), _negative(node["other"]), node.shapes[0])
    return result


def _difference(node: _Node) -> Known:
    result = _pointwise(node)
    result.negative = _either(_negative(node["self"]), _negative(node["other"], -1.0), node.shapes[0])
    return result


def _chosen(node: _Node, condition: Any, yes: Any, no: Any) -> Known:
    """where(condition, yes, no)."""
    shape = node.shapes[0]
    like = node.walk.codes
    if isinstance(condition, Known):
        return _pointwise(node)
    code = torch.where(condition, _code(yes, like), _code(no, like)).expand(shape)

    def part(of: Callable[[Any], Tensor | None]) -> Tensor | None:
        masks = [of(value) if isinstance(value, (Known, Tensor)) else _literal(of, value, like) for value in (yes, no)]
        if masks[0] is None and masks[1] is None:
            return None
        nothing = torch.zeros((), dtype=torch.bool, device=like.device)
        return torch.where(condition, nothing if masks[0] is None else masks[0], nothing if masks[1] is None else masks[1]).expand(shape)

    return Known(code, zero=part(_zero), negative=part(_negative))


def _literal(of: Callable[[Any], Tensor | None], value: Any, like: Tensor) -> Tensor | None:
    return of(torch.tensor(float(value), device=like.device)) if isinstance(value, (int, float)) else None


def _where(node: _Node) -> Known:
    return _chosen(node, node["condition"], node["self"], node["other"])


def _masked_fill(node: _Node) -> Known:
    return _chosen(node, node["mask"], node["value"], node["self"])


def _exp(node: _Node) -> Known:
    known = node["self"]
    if known.negative is None:
        return Known(known.code)
    node.zero(known.negative)
    return Known(known.code.masked_fill(known.negative, BOTTOM), zero=known.negative)


_PLACES = frozenset({"index", "indices"})
"""Arguments that say where, not what."""


def _moved(node: _Node) -> Any:
    """Views and copies: codes move like the data."""

    names = [argument.name for argument in node.operation._schema.arguments]

    def move(pick: Callable[[Any], Any]) -> Any:
        positional = [value if name in _PLACES else pick(value) for name, value in zip(names, node.values, strict=False)]
        result = node.operation(*positional, **{key: pick(node.named[key]) for key in node.kwargs})
        return list(result) if isinstance(result, (list, tuple)) else result

    def codes(value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, (Known, Tensor)) for item in value):
            return [codes(item) for item in value]
        return _code(value, node.walk.codes) if isinstance(value, (Known, Tensor)) else value

    code = move(codes)
    masks = []
    for of in (_zero, _negative):

        def mask(value: Any, of: Callable[[Any], Tensor | None] = of) -> Any:
            if isinstance(value, list) and any(isinstance(item, (Known, Tensor)) for item in value):
                return [mask(item) for item in value]
            if not isinstance(value, (Known, Tensor)):
                return value
            found = of(value)
            shape = value.code.shape if isinstance(value, Known) else value.shape
            return found if found is not None else torch.zeros((), dtype=torch.bool, device=node.walk.codes.device).expand(shape)

        moved = [value for name, value in zip(names, node.values, strict=False) if name not in _PLACES]
        tensors = [value for value in _flat(moved) if isinstance(value, (Known, Tensor))]
        masks.append(move(mask) if any(of(value) is not None for value in tensors) else None)
    if not isinstance(code, list):
        return Known(code, zero=masks[0], negative=masks[1])
    return [Known(c, zero=masks[0][i] if masks[0] else None, negative=masks[1][i] if masks[1] else None) for i, c in enumerate(code)]


def _pad(node: _Node) -> Known | None:
    pad = node["pad"]
    return Known(torch.constant_pad_nd(node["self"].code, pad, BOTTOM))


def _triangle(node: _Node) -> Known:
    keep = getattr(torch, node.operation._schema.name.removeprefix("aten::"))(
        torch.ones(node.shapes[0], dtype=torch.bool, device=node.walk.codes.device), node["diagonal"]
    )
    return Known(node["self"].code.masked_fill(~keep, BOTTOM), zero=~keep)


def _dims(node: _Node, name: str = "dim") -> list[int] | None:
    dim = node.named.get(name)
    return [dim] if isinstance(dim, int) else dim or None


def _reduced(node: _Node) -> Any:
    known = node["self"]
    dims = _dims(node)
    keep = bool(node.named.get("keepdim", False))
    code = known.code.amax(dim=dims, keepdim=keep) if dims is not None else known.code.amax().expand(node.shapes[0])
    return Known(code) if len(node.shapes) == 1 else [Known(code) for _ in node.shapes]


def _scanned(node: _Node) -> Any:
    code = node["self"].code.cummax(dim=node["dim"]).values
    return Known(code) if len(node.shapes) == 1 else [Known(code) for _ in node.shapes]


def _softmax(node: _Node) -> Known:
    known, dim = node["self"], node["dim"]
    code = known.code if known.negative is None else known.code.masked_fill(known.negative, BOTTOM)
    spread = code.amax(dim=dim, keepdim=True).expand(node.shapes[0])
    if known.negative is None or "log" in node.operation._schema.name:
        return Known(known.code.amax(dim=dim, keepdim=True).expand(node.shapes[0]))
    node.zero(known.negative)
    return Known(spread.masked_fill(known.negative, BOTTOM), zero=known.negative)


def _normalised(node: _Node) -> Any:
    known = node["input"]
    dims = list(range(-len(node["normalized_shape"]), 0))
    small = known.code.amax(dim=dims, keepdim=True)
    first = Known(small.expand(node.shapes[0]))
    return first if len(node.shapes) == 1 else [first, *(Known(small.expand(shape)) for shape in node.shapes[1:])]


def _group_norm(node: _Node) -> Known | None:
    known = node["input"]
    return Known(known.code.amax(dim=list(range(1, known.code.dim())), keepdim=True).expand(node.shapes[0]))


def _product(node: _Node, first_name: str, second_name: str) -> Tensor:
    """Codes of a matrix product over the last dimension of the first and the one before last of the second argument."""
    first, second = node[first_name], node[second_name]
    like = node.walk.codes
    a, b = _code(first, like), _code(second, like)
    zero_a, zero_b = _zero(first), _zero(second)
    shape = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]) + (a.shape[-2], b.shape[-1])
    if zero_a is None and zero_b is None:
        return torch.maximum(a.amax(-1, keepdim=True), b.amax(-2, keepdim=True)).expand(shape)
    if zero_a is not None:  # [.., i, k]: what of b's row k reaches row i
        node.finite(second_name)
        node.finite(first_name)
        reach = torch.maximum(a, b.amax(-1)[..., None, :]).masked_fill(zero_a, BOTTOM)
        return reach.amax(-1, keepdim=True).expand(shape)
    assert zero_b is not None
    node.finite(first_name)
    node.finite(second_name)
    reach = torch.maximum(b, a.amax(-2)[..., :, None]).masked_fill(zero_b, BOTTOM)
    return reach.amax(-2, keepdim=True).expand(shape)


def _mm(node: _Node) -> Known:
    return Known(_product(node, "self", "mat2").expand(node.shapes[0]))


def _addmm(node: _Node) -> Known:
    names = ("mat1", "mat2") if "mat1" in node.named else ("batch1", "batch2")
    return Known(torch.maximum(_product(node, *names), _code(node["self"], node.walk.codes)).expand(node.shapes[0]))


def _linear(node: _Node) -> Known | None:
    if not isinstance(node["input"], Known) or isinstance(node["weight"], Known):
        return None
    return Known(node["input"].code.amax(-1, keepdim=True).expand(node.shapes[0]))


def _attention(node: _Node) -> Known | None:
    like = node.walk.codes
    query, key, value, mask = node["query"], node["key"], node["value"], node["attn_mask"]
    for name in ("query", "key", "value"):
        node.finite(name)
    node.walk.watch.finite.add((node.index, None))
    q, k, v = (_code(part, like).amax(-1) for part in (query, key, value))  # [.., L], [.., S], [.., S]
    kv = torch.maximum(k, v)
    if node["enable_gqa"] and kv.shape[-2] != q.shape[-2]:
        kv = kv.amax(-2, keepdim=True)
    if mask is None:
        reach = kv.cummax(-1).values if node["is_causal"] else kv.amax(-1, keepdim=True).expand(kv.shape)
        if node["is_causal"] and q.shape[-1] != kv.shape[-1]:
            return None
    else:
        if node["is_causal"]:
            return None
        if isinstance(mask, Known) and node.dtype("attn_mask") is not torch.bool:
            return None  # a float mask made of tokens: its −inf is not known apart from very negative
        blocked = mask.zero if isinstance(mask, Known) else ~mask if mask.dtype == torch.bool else mask == -torch.inf
        reach = torch.maximum(kv[..., None, :], _code(mask, like))
        if blocked is not None:
            reach = reach.masked_fill(blocked, BOTTOM)
        reach = reach.amax(-1)
    return Known(torch.maximum(q, reach)[..., None].expand(node.shapes[0]))


def _recurrent(node: _Node) -> list[Known] | None:
    if node["bidirectional"] or node["input"].code.dim() != 3:
        return None
    like = node.walk.codes
    time = 1 if node["batch_first"] else 0
    code = node["input"].code.amax(-1, keepdim=True)
    states = node["hx"] if isinstance(node["hx"], list) else [node["hx"]]
    for state in states:
        code = torch.maximum(code, _code(state, like).amax())
    code = code.cummax(dim=time).values
    last = code.amax().to(like.dtype)
    return [Known(code.expand(node.shapes[0])), *(Known(last.expand(shape)) for shape in node.shapes[1:])]


def _cell(node: _Node) -> Any:
    like = node.walk.codes
    states = node["hx"] if isinstance(node["hx"], list) else [node["hx"]]
    code = _code(node["input"], like).amax(-1, keepdim=True)
    for state in states:
        code = torch.maximum(code, _code(state, like).amax(-1, keepdim=True))
    spread = [Known(code.expand(shape)) for shape in node.shapes]
    return spread[0] if len(spread) == 1 else spread


def _convolution(node: _Node) -> Known | None:
    known, weight = node["input"], node["weight"]
    if not isinstance(known, Known) or isinstance(weight, Known) or known.code.dim() != 3 or node.named.get("transposed"):
        return None
    stride, padding, dilation = (node[name] if isinstance(node[name], int) else node[name][0] for name in ("stride", "padding", "dilation"))
    channels = known.code.amax(1, keepdim=True)  # [N, 1, L]
    padded = torch.constant_pad_nd(channels, [padding, padding], BOTTOM)
    reach = padded.unfold(-1, dilation * (weight.shape[-1] - 1) + 1, stride)[..., ::dilation].amax(-1)
    return Known(reach.expand(node.shapes[0]))


def _looked_up(node: _Node) -> Known | None:
    """embedding: a constant table by tokens."""
    if isinstance(node["weight"], Known) or not isinstance(node["indices"], Known):
        return None
    return Known(node["indices"].code[..., None].expand(node.shapes[0]))


def _gathered(node: _Node) -> Known | None:
    known, index, dim = node["self"], node["index"], node["dim"]
    if not isinstance(index, Known):
        return _moved(node)
    code = index.code
    if isinstance(known, Known):
        along = known.code.amax(dim, keepdim=True)
        sizes = [slice(0, size) for size in code.shape]
        sizes[dim] = slice(None)
        code = torch.maximum(code, along[tuple(sizes)])
    return Known(code)


def _index(node: _Node) -> Known | None:
    known, indices = node["self"], node["indices"]
    if isinstance(known, Known):
        return _moved(node) if not any(isinstance(item, Known) for item in indices) else None
    places = [position for position, item in enumerate(indices) if item is not None]
    if not places or places[0] != 0 or places[-1] != len(places) - 1:
        return None
    code = _code(indices[0], node.walk.codes)
    for item in indices[1 : len(places)]:
        code = torch.maximum(code, _code(item, node.walk.codes))
    return Known(code.reshape(*code.shape, *([1] * (len(node.shapes[0]) - code.dim()))).expand(node.shapes[0]))


def _index_select(node: _Node) -> Known | None:
    return _moved(node) if not isinstance(node["index"], Known) else None


def _scattered(node: _Node) -> Known | None:
    """Whatever is written or kept along the dimension may end up anywhere along it."""
    like, dim = node.walk.codes, node["dim"]
    shape = node.shapes[0]
    code = _code(node["self"], like).expand(shape).amax(dim, keepdim=True)
    for name in ("index", "src"):
        part = node.named.get(name)
        if isinstance(part, Known):
            if any(part.code.shape[d] != shape[d] for d in range(len(shape)) if d != dim % len(shape)):
                return None
            code = torch.maximum(code, part.code.amax(dim, keepdim=True))
    return Known(code.expand(shape))


def _ordered(node: _Node) -> list[Known] | Known:
    dim = node["dim"] if node["dim"] is not None else -1
    code = node["self"].code.amax(dim, keepdim=True)
    spread = [Known(code.expand(shape)) for shape in node.shapes]
    return spread[0] if len(spread) == 1 else spread


def _one_hot(node: _Node) -> Known:
    return Known(node["self"].code[..., None].expand(node.shapes[0]))


def _constant(node: _Node) -> Known:
    """full_like and kin: nothing of the argument but its shape."""
    return Known(torch.full(node.shapes[0], BOTTOM, dtype=torch.int32, device=node.walk.codes.device))


def _written(node: _Node) -> Known:
    """copy(self, src), fill(self, value): what is written."""
    source = node["src"] if "src" in node.named else node["value"]
    return Known(_code(source, node.walk.codes).expand(node.shapes[0]).clone())


def _rules() -> dict[str, tuple[Callable[[_Node], Any], frozenset[str]]]:
    """Operation → its rule, and the arguments that the rule takes into account (empty: all)."""
    table: dict[str, tuple[Callable[[_Node], Any], frozenset[str]]] = {}
    for names, rule, considered in (
        (
            "exp2 expm1 log log2 log10 log1p rsqrt reciprocal cos acos cosh acosh sigmoid softplus hardsigmoid erfc erfinv logical_not bitwise_not isnan isinf "
            "isfinite log_sigmoid_forward logit nan_to_num clamp clamp_min clamp_max fmod remainder floor_divide pow atan2 hypot maximum minimum fmax fmin logaddexp "
            "logaddexp2 lerp addcmul addcdiv copysign xlogy eq ne lt le gt ge logical_or logical_xor bitwise_or bitwise_xor bitwise_left_shift "
            "bitwise_right_shift __lshift__ __rshift__ threshold _prelu_kernel elu rsub celu",
            _pointwise,
            "",
        ),
        (
            "abs neg sqrt sin tan asin atan sinh tanh atanh asinh relu gelu silu mish leaky_relu hardtanh hardswish softshrink hardshrink erf sgn sign floor ceil "
            "round trunc frac square",
            _keeps_zero,
            "self",
        ),
        ("_to_copy clone", _copy, "self"),
        ("mul", _scaled, "self other"),
        ("div", _quotient, "self other"),
        ("logical_and bitwise_and", _both, "self other"),
        ("add", _sum, "self other"),
        ("sub", _difference, "self other"),
        ("where", _where, "condition self other"),
        ("masked_fill", _masked_fill, "self mask value"),
        ("exp", _exp, "self"),
        (
            "view _unsafe_view reshape expand permute transpose t unsqueeze squeeze slice select narrow unbind split split_with_sizes chunk unsafe_split "
            "unsafe_split_with_sizes unsafe_chunk unfold diagonal flatten unflatten movedim cat stack repeat roll flip repeat_interleave slice_scatter "
            "select_scatter diagonal_scatter",
            _moved,
            "",
        ),
        ("constant_pad_nd", _pad, "self"),
        ("tril triu", _triangle, "self"),
        (
            "sum mean amax amin max min argmax argmin prod any all var std var_mean logsumexp linalg_vector_norm norm median aminmax",
            _reduced,
            "self",
        ),
        ("cumsum cumprod cummax cummin logcumsumexp", _scanned, "self"),
        ("softmax _softmax _safe_softmax log_softmax _log_softmax", _softmax, "self"),
        ("native_layer_norm layer_norm rms_norm _fused_rms_norm", _normalised, "input"),
        ("group_norm", _group_norm, "input"),
        ("mm bmm", _mm, "self mat2"),
        ("addmm baddbmm", _addmm, "self mat1 mat2 batch1 batch2"),
        ("linear", _linear, "input"),
        ("scaled_dot_product_attention", _attention, "query key value attn_mask"),
        ("gru lstm", _recurrent, "input hx"),
        ("gru_cell lstm_cell", _cell, "input hx"),
        ("convolution conv1d", _convolution, "input"),
        ("embedding", _looked_up, "indices"),
        ("gather", _gathered, "self index"),
        ("index", _index, "self indices"),
        ("index_select", _index_select, "self"),
        ("scatter scatter_add scatter_reduce", _scattered, "self index src"),
        ("topk sort argsort", _ordered, "self"),
        ("one_hot", _one_hot, "self"),
        ("full_like zeros_like ones_like new_zeros new_ones new_full", _constant, "self"),
        ("copy fill", _written, "self src value"),
    ):
        table |= dict.fromkeys(names.split(), (rule, frozenset(considered.split())))
    return table


_RULES = _rules()
