"""How codes combine, operation by operation: the rules of `dependence.py`."""

from collections.abc import Callable
from typing import Any

import torch
from codes import BOTTOM, Known, Node, code_of, either, flat, knowns, negatives_of, zeros_of
from torch import Tensor

Rule = Callable[[Node], Any]
"""Gives the `Known` of each result, or None where it cannot say."""


def _pointwise(node: Node) -> Known:
    """Every element depends on the same elements of the arguments."""
    shape = node.shapes[0]
    codes = [known.code for known in knowns(node)]
    code = codes[0].expand(shape)
    for other in codes[1:]:
        code = torch.maximum(code, other)
    return Known(code)


def _keeps_zero(node: Node) -> Known:
    """Pointwise, and f(0) = 0."""
    known = knowns(node)[0]
    return Known(known.code, zero=known.zero)


def _copy(node: Node) -> Known:
    known = knowns(node)[0]
    return Known(known.code, zero=known.zero, negative=known.negative)


def _scaled(node: Node) -> Known:
    """Product: a known zero blocks the other factor. Quotient by a positive number: what is known stays known."""
    result = _pointwise(node)
    shape = node.shapes[0]
    first, second = node["self"], node["other"]
    for value, other in ((first, second), (second, first)):
        if isinstance(value, Known) and isinstance(other, (int, float)) and 0 < other < torch.inf:
            result.negative, result.zero = value.negative, value.zero
            return result
    zero = either(zeros_of(first), zeros_of(second), shape)
    if zero is not None:
        node.zero(zero)
        node.unsigned()
        result.zero, result.code = zero, result.code.masked_fill(zero, BOTTOM)
    return result


def _quotient(node: Node) -> Known:
    first, other = node["self"], node["other"]
    if isinstance(other, (int, float)) and 0 < other < torch.inf and isinstance(first, Known):
        return Known(first.code, zero=first.zero, negative=first.negative)
    return _pointwise(node)


def _both(node: Node) -> Known:
    """Logical and: a known False decides."""
    result = _pointwise(node)
    zero = either(zeros_of(node["self"]), zeros_of(node["other"]), node.shapes[0])
    if zero is not None:
        result.zero, result.code = zero, result.code.masked_fill(zero, BOTTOM)
        node.zero(zero)
    return result


def _sum(node: Node) -> Known:
    result = _pointwise(node)
    result.negative = either(negatives_of(node["self"]), negatives_of(node["other"]), node.shapes[0])
    return result


def _difference(node: Node) -> Known:
    result = _pointwise(node)
    result.negative = either(negatives_of(node["self"]), negatives_of(node["other"], -1.0), node.shapes[0])
    return result


def _chosen(node: Node, condition: Any, yes: Any, no: Any) -> Known:
    """where(condition, yes, no)."""
    shape = node.shapes[0]
    like = node.walk.codes
    if isinstance(condition, Known):
        return _pointwise(node)
    code = torch.where(condition, code_of(yes, like), code_of(no, like)).expand(shape)

    def part(of: Callable[[Any], Tensor | None]) -> Tensor | None:
        masks = [of(value) if isinstance(value, (Known, Tensor)) else _literal(of, value, like) for value in (yes, no)]
        if masks[0] is None and masks[1] is None:
            return None
        nothing = torch.zeros((), dtype=torch.bool, device=like.device)
        return torch.where(condition, nothing if masks[0] is None else masks[0], nothing if masks[1] is None else masks[1]).expand(shape)

    return Known(code, zero=part(zeros_of), negative=part(negatives_of))


def _literal(of: Callable[[Any], Tensor | None], value: Any, like: Tensor) -> Tensor | None:
    return of(torch.tensor(float(value), device=like.device)) if isinstance(value, (int, float)) else None


def _where(node: Node) -> Known:
    return _chosen(node, node["condition"], node["self"], node["other"])


def _masked_fill(node: Node) -> Known:
    return _chosen(node, node["mask"], node["value"], node["self"])


def _exp(node: Node) -> Known:
    known = node["self"]
    if known.negative is None:
        return Known(known.code)
    node.zero(known.negative)
    return Known(known.code.masked_fill(known.negative, BOTTOM), zero=known.negative)


_PLACES = frozenset({"index", "indices"})
"""Arguments that say where, not what."""


def _moved(node: Node) -> Any:
    """Views and copies: codes move like the data."""
    names = [argument.name for argument in node.operation._schema.arguments]

    def move(pick: Callable[[Any], Any]) -> Any:
        positional = [value if name in _PLACES else pick(value) for name, value in zip(names, node.values, strict=False)]
        result = node.operation(*positional, **{key: node[key] if key in _PLACES else pick(node[key]) for key in node.kwargs})
        return list(result) if isinstance(result, (list, tuple)) else result

    def codes(value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, (Known, Tensor)) for item in value):
            return [codes(item) for item in value]
        return code_of(value, node.walk.codes) if isinstance(value, (Known, Tensor)) else value

    code = move(codes)
    masks = []
    for of in (zeros_of, negatives_of):

        def mask(value: Any, of: Callable[[Any], Tensor | None] = of) -> Any:
            if isinstance(value, list) and any(isinstance(item, (Known, Tensor)) for item in value):
                return [mask(item) for item in value]
            if not isinstance(value, (Known, Tensor)):
                return value
            found = of(value)
            shape = value.code.shape if isinstance(value, Known) else value.shape
            return found if found is not None else torch.zeros((), dtype=torch.bool, device=node.walk.codes.device).expand(shape)

        moved = [value for name, value in zip(names, node.values, strict=False) if name not in _PLACES]
        tensors = [value for value in flat(moved) if isinstance(value, (Known, Tensor))]
        masks.append(move(mask) if any(of(value) is not None for value in tensors) else None)
    if not isinstance(code, list):
        return Known(code, zero=masks[0], negative=masks[1])
    return [Known(c, zero=masks[0][i] if masks[0] else None, negative=masks[1][i] if masks[1] else None) for i, c in enumerate(code)]


def _pad(node: Node) -> Known | None:
    pad = node["pad"]
    return Known(torch.constant_pad_nd(node["self"].code, pad, BOTTOM))


def _triangle(node: Node) -> Known:
    keep = getattr(torch, node.operation._schema.name.removeprefix("aten::"))(
        torch.ones(node.shapes[0], dtype=torch.bool, device=node.walk.codes.device), node["diagonal"]
    )
    return Known(node["self"].code.masked_fill(~keep, BOTTOM), zero=~keep)


def _dims(node: Node, name: str = "dim") -> list[int] | None:
    dim = node.named.get(name)
    return [dim] if isinstance(dim, int) else dim or None


def _reduced(node: Node) -> Any:
    known = node["self"]
    dims = _dims(node)
    keep = bool(node.named.get("keepdim", False))
    code = known.code.amax(dim=dims, keepdim=keep) if dims is not None else known.code.amax().expand(node.shapes[0])
    return Known(code) if len(node.shapes) == 1 else [Known(code) for _ in node.shapes]


def _scanned(node: Node) -> Any:
    code = node["self"].code.cummax(dim=node["dim"]).values
    return Known(code) if len(node.shapes) == 1 else [Known(code) for _ in node.shapes]


def _softmax(node: Node) -> Known:
    known, dim = node["self"], node["dim"]
    if known.negative is None or "log" in node.operation._schema.name or node.dtype() is torch.float16:
        return Known(known.code.amax(dim=dim, keepdim=True).expand(node.shapes[0]))
    node.zero(known.negative)
    spread = known.code.masked_fill(known.negative, BOTTOM).amax(dim=dim, keepdim=True).expand(node.shapes[0])
    return Known(spread.masked_fill(known.negative, BOTTOM), zero=known.negative)


def _normalised(node: Node) -> Any:
    known = node["input"]
    dims = list(range(-len(node["normalized_shape"]), 0))
    small = known.code.amax(dim=dims, keepdim=True)
    first = Known(small.expand(node.shapes[0]))
    return first if len(node.shapes) == 1 else [first, *(Known(small.expand(shape)) for shape in node.shapes[1:])]


def _group_norm(node: Node) -> Known | None:
    known = node["input"]
    return Known(known.code.amax(dim=list(range(1, known.code.dim())), keepdim=True).expand(node.shapes[0]))


def _product(node: Node, first_name: str, second_name: str) -> Tensor:
    """Codes of a matrix product over the last dimension of the first and the one before last of the second argument."""
    first, second = node[first_name], node[second_name]
    like = node.walk.codes
    a, b = code_of(first, like), code_of(second, like)
    shape = (*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    bound = torch.maximum(a.amax(-1, keepdim=True), b.amax(-2, keepdim=True)).expand(shape)
    zero_a, zero_b = zeros_of(first), zeros_of(second)
    if zero_a is not None:  # [.., i, k]: what of b's row k reaches row i
        reach = torch.maximum(a, b.amax(-1)[..., None, :]).masked_fill(zero_a, BOTTOM).amax(-1, keepdim=True)
        bound = _closer(node, bound, reach, (first_name, second_name))
    if zero_b is not None:  # [.., k, j]: what of a's column k reaches column j
        reach = torch.maximum(b, a.amax(-2)[..., :, None]).masked_fill(zero_b, BOTTOM).amax(-2, keepdim=True)
        bound = _closer(node, bound, reach, (second_name, first_name))
    return bound


def _closer(node: Node, bound: Tensor, reach: Tensor, names: tuple[str, str]) -> Tensor:
    """The lower of two bounds of a product.

    `reach` holds where the zeros of the first name are 0 and nothing is infinite. That is asked only where it says more: for a mask, and
    not for a weight that happens to be 0.
    """
    closer = torch.minimum(bound, reach)
    if torch.equal(closer, bound):
        return bound
    node.zeros(names[0])
    for name in names:
        node.finite(name)
    node.unsigned()
    return closer


def _mm(node: Node) -> Known:
    return Known(_product(node, "self", "mat2").expand(node.shapes[0]))


def _addmm(node: Node) -> Known:
    names = ("mat1", "mat2") if "mat1" in node.named else ("batch1", "batch2")
    return Known(torch.maximum(_product(node, *names), code_of(node["self"], node.walk.codes)).expand(node.shapes[0]))


def _linear(node: Node) -> Known | None:
    if not isinstance(node["input"], Known) or isinstance(node["weight"], Known):
        return None
    return Known(node["input"].code.amax(-1, keepdim=True).expand(node.shapes[0]))


def _attention(node: Node) -> Known | None:
    like = node.walk.codes
    query, key, value, mask = node["query"], node["key"], node["value"], node["attn_mask"]
    for name in ("query", "key", "value"):
        node.finite(name)
    node.walk.must_be_finite.add((node.index, None))
    node.unsigned()
    q, k, v = (code_of(part, like).amax(-1) for part in (query, key, value))  # [.., L], [.., S], [.., S]
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
        blocked = node.zeros("attn_mask") if isinstance(mask, Known) else ~mask if mask.dtype == torch.bool else mask == -torch.inf
        reach = torch.maximum(kv[..., None, :], code_of(mask, like))
        if blocked is not None:
            blocked = blocked & ~blocked.all(-1, keepdim=True)  # a query that may see nothing: kernels differ in what they give it
            reach = reach.masked_fill(blocked, BOTTOM)
        reach = reach.amax(-1)
    return Known(torch.maximum(q, reach)[..., None].expand(node.shapes[0]))


def _recurrent(node: Node) -> list[Known] | None:
    if node["bidirectional"] or node["input"].code.dim() != 3:
        return None
    like = node.walk.codes
    time = 1 if node["batch_first"] else 0
    code = node["input"].code.amax(-1, keepdim=True)
    states = node["hx"] if isinstance(node["hx"], list) else [node["hx"]]
    for state in states:
        code = torch.maximum(code, code_of(state, like).amax())
    code = code.cummax(dim=time).values
    last = code.amax().to(like.dtype)
    return [Known(code.expand(node.shapes[0])), *(Known(last.expand(shape)) for shape in node.shapes[1:])]


def _cell(node: Node) -> Any:
    like = node.walk.codes
    states = node["hx"] if isinstance(node["hx"], list) else [node["hx"]]
    if any(code_of(part, like).dim() != 2 for part in (node["input"], *states)):
        return None
    code = code_of(node["input"], like).amax(-1, keepdim=True)
    for state in states:
        code = torch.maximum(code, code_of(state, like).amax(-1, keepdim=True))
    spread = [Known(code.expand(shape)) for shape in node.shapes]
    return spread[0] if len(spread) == 1 else spread


def _convolution(node: Node) -> Known | None:
    known, weight = node["input"], node["weight"]
    if not isinstance(known, Known) or isinstance(weight, Known) or known.code.dim() != 3 or node.named.get("transposed"):
        return None
    stride, padding, dilation = (node[name] if isinstance(node[name], int) else node[name][0] for name in ("stride", "padding", "dilation"))
    channels = known.code.amax(1, keepdim=True)  # [N, 1, L]
    padded = torch.constant_pad_nd(channels, [padding, padding], BOTTOM)
    reach = padded.unfold(-1, dilation * (weight.shape[-1] - 1) + 1, stride)[..., ::dilation].amax(-1)
    return Known(reach.expand(node.shapes[0]))


def _looked_up(node: Node) -> Known | None:
    """embedding: a constant table by tokens."""
    if isinstance(node["weight"], Known) or not isinstance(node["indices"], Known):
        return None
    return Known(node["indices"].code[..., None].expand(node.shapes[0]))


def _gathered(node: Node) -> Known | None:
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


def _index(node: Node) -> Known | None:
    known, indices = node["self"], node["indices"]
    if isinstance(known, Known):
        return _moved(node) if not any(isinstance(item, Known) for item in indices) else None
    places = [position for position, item in enumerate(indices) if item is not None]
    if not places or places[0] != 0 or places[-1] != len(places) - 1:
        return None
    code = code_of(indices[0], node.walk.codes)
    for item in indices[1 : len(places)]:
        code = torch.maximum(code, code_of(item, node.walk.codes))
    return Known(code.reshape(*code.shape, *([1] * (len(node.shapes[0]) - code.dim()))).expand(node.shapes[0]))


def _index_select(node: Node) -> Known | None:
    return _moved(node) if not isinstance(node["index"], Known) else None


def _scattered(node: Node) -> Known | None:
    """Whatever is written or kept along the dimension may end up anywhere along it."""
    like, dim = node.walk.codes, node["dim"]
    shape = node.shapes[0]
    code = code_of(node["self"], like).expand(shape).amax(dim, keepdim=True)
    for name in ("index", "src"):
        part = node.named.get(name)
        if isinstance(part, Known):
            if any(part.code.shape[d] != shape[d] for d in range(len(shape)) if d != dim % len(shape)):
                return None
            code = torch.maximum(code, part.code.amax(dim, keepdim=True))
    return Known(code.expand(shape))


def _ordered(node: Node) -> list[Known] | Known:
    dim = node["dim"] if node["dim"] is not None else -1
    code = node["self"].code.amax(dim, keepdim=True)
    spread = [Known(code.expand(shape)) for shape in node.shapes]
    return spread[0] if len(spread) == 1 else spread


def _one_hot(node: Node) -> Known:
    return Known(node["self"].code[..., None].expand(node.shapes[0]))


def _constant(node: Node) -> Known:
    """full_like and kin: nothing of the argument but its shape."""
    return Known(torch.full(node.shapes[0], BOTTOM, dtype=torch.int32, device=node.walk.codes.device))


def _written(node: Node) -> Known:
    """copy(self, src), fill(self, value): what is written."""
    source = node["src"] if "src" in node.named else node["value"]
    return Known(code_of(source, node.walk.codes).expand(node.shapes[0]).clone())


_POINTWISE = """
    exp2 expm1 log log2 log10 log1p rsqrt reciprocal cos acos cosh acosh sigmoid softplus hardsigmoid erfc erfinv logical_not
    bitwise_not isnan isinf isfinite log_sigmoid_forward logit nan_to_num clamp clamp_min clamp_max fmod remainder floor_divide
    pow atan2 hypot maximum minimum fmax fmin logaddexp logaddexp2 lerp addcmul addcdiv copysign xlogy eq ne lt le gt ge
    logical_or logical_xor bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift __lshift__ __rshift__ threshold
    _prelu_kernel elu rsub hardtanh
"""
_ZERO_AT_ZERO = """
    abs neg sqrt sin tan asin atan sinh tanh atanh asinh relu gelu silu mish leaky_relu hardswish softshrink hardshrink erf sgn
    sign floor ceil round trunc frac square
"""
_VIEWS = """
    view _unsafe_view reshape expand permute transpose t unsqueeze squeeze slice select narrow unbind split split_with_sizes chunk
    unsafe_split unsafe_split_with_sizes unsafe_chunk unfold diagonal flatten unflatten movedim cat stack repeat roll flip
    repeat_interleave slice_scatter select_scatter diagonal_scatter
"""
_REDUCTIONS = "sum mean amax amin max min argmax argmin prod any all var std var_mean logsumexp linalg_vector_norm norm median aminmax"


def _rules() -> dict[str, tuple[Callable[[Node], Any], frozenset[str]]]:
    """Operation → its rule, and the arguments that the rule takes into account (empty: all)."""
    table: dict[str, tuple[Callable[[Node], Any], frozenset[str]]] = {}
    for names, rule, considered in (
        (_POINTWISE, _pointwise, ""),
        (_ZERO_AT_ZERO, _keeps_zero, "self"),
        ("_to_copy clone", _copy, "self"),
        ("mul", _scaled, "self other"),
        ("div", _quotient, "self other"),
        ("logical_and bitwise_and", _both, "self other"),
        ("add", _sum, "self other"),
        ("sub", _difference, "self other"),
        ("where", _where, "condition self other"),
        ("masked_fill", _masked_fill, "self mask value"),
        ("exp", _exp, "self"),
        (_VIEWS, _moved, ""),
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


RULES = _rules()
