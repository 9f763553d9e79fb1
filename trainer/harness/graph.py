"""A model as data: `graph.json`, the flat list of operations behind `tokens int64 [B, T] → logits [B, T, V]`, and its named weights.

The graph is found by the tracer that `torch.export` rests on (`make_fx` over fake tensors, under `no_grad`) and not by `torch.export`
itself: that keeps autocast regions as nested programs, and decomposing those fails for einsum under autocast (torch 2.13); one trace
below autocast and autograd also costs half the time. What is traced are the very operations that eager mode runs, casts included, so the
graph equals the model bit for bit on the device it was traced on. Mutations are functionalized away. Attention, recurrent cells and group
norm stay one operation each, so that the evaluator's device picks its own kernel.

Devices are left out: the evaluator places every tensor on its own. Whatever cannot be said in the format (branches on values, custom
kernels) raises `GraphError` with what to do instead. This module only describes; what is *allowed* is decided by `checks/artifact.py` on
the host, which trusts nothing of it.

Format of graph.json (version 1)::

    {"format_version": 1, "inputs": {"tokens": [B, T]},
     "weights": [{"name": "wte.weight", "shape": [256, 64], "dtype": "float32"}, …],
     "nodes": [{"op": "aten.mm.default", "args": [{"node": 3}, {"weight": 0}], "kwargs": {}}, …],
     "output": {"node": 57}}

An argument is a literal (int, finite float, bool, null, string), a list of arguments, or an object with one tag: `{"input": "tokens"}`,
`{"weight": j}`, `{"node": i}`, `{"node": i, "item": k}` (k-th result of an operation with several), `{"float": "inf" | "-inf"}`,
`{"dtype": "bfloat16"}`, `{"memory_format": "contiguous_format"}`.
"""

import contextlib
import itertools
import json
import math
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

FORMAT_VERSION = 1
GRAPH_FILE = "graph.json"
WEIGHTS_FILE = "weights.safetensors"

_SAFETENSORS_DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_IDENTITIES = {
    "aten.detach.default",
    "aten.alias.default",
    "aten.lift_fresh.default",
    "aten.lift_fresh_copy.default",
    "aten._to_copy.default",
}
_EMPTY = {
    "aten.empty.memory_format": "aten.zeros.default",
    "aten.empty_like.default": "aten.zeros_like.default",
    "aten.new_empty.default": "aten.new_zeros.default",
}
"""Uninitialised memory is written before it is read by whoever means well: zeros then do as well."""
_UNSAID = {"device", "pin_memory", "layout"}
_RESHAPES = {"aten.view.default": "aten.reshape.default", "aten._unsafe_view.default": "aten.reshape.default"}
"""A view that is legal for the strides of one attention kernel is not for another's: the graph says what is meant, on every device."""
_KEPT = torch.library.Library("appliance", "FRAGMENT")
_KEPT_NAMES: dict[str, str] = {}


class GraphError(Exception):
    """The model cannot be written as a graph; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weight:
    """One tensor that the graph reads."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphInfo:
    """What was exported, and what `save_weights` must find again at the end."""

    batch: int
    length: int
    vocabulary: int
    nodes: int
    weights: tuple[Weight, ...]
    constants: Mapping[str, torch.Tensor]
    """Tensors that are neither parameters nor buffers, held by reference."""


def export(model: nn.Module, tokens: torch.Tensor | tuple[int, int], out_dir: Path, *, autocast: torch.dtype | None = None) -> GraphInfo:
    """Write `graph.json` of `model` at one fixed shape into `out_dir`.

    `tokens` is an example int64 [B, T] on the model's device, or only its shape. The model is traced in eval mode and left in the mode it
    was in. With `autocast` the trace happens inside `torch.autocast` of that dtype: for a model whose training loop, not its forward,
    opens the region.

    Raises:
        GraphError: the model cannot be written as such a graph.
    """
    model = getattr(model, "_orig_mod", model)
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    device = next((tensor.device for tensor in state.values()), torch.device("cpu"))
    if not isinstance(tokens, torch.Tensor):
        tokens = torch.zeros(tokens, dtype=torch.int64, device=device)
    if tokens.dtype != torch.int64 or tokens.dim() != 2:
        raise GraphError(f"the example tokens must be int64 [B, T], not {tokens.dtype} {list(tokens.shape)}")
    traced = _trace(model, tokens, state, autocast)
    document, info = _describe(traced, tokens, state)
    _write_atomically(Path(out_dir) / GRAPH_FILE, [json.dumps(document, separators=(",", ":"), allow_nan=False).encode()])
    return info


def save_weights(model: nn.Module | Mapping[str, torch.Tensor], info: GraphInfo, out_dir: Path) -> int:
    """Write exactly the weights that the graph names to `weights.safetensors`; return its size in bytes.

    Raises:
        GraphError: a weight is missing, or its shape or dtype is not the graph's.
    """
    if isinstance(model, nn.Module):
        model = getattr(model, "_orig_mod", model)
        model = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    tensors: dict[str, torch.Tensor] = {}
    for weight in info.weights:
        tensor = info.constants[weight.name] if weight.name in info.constants else model.get(weight.name)
        if tensor is None:
            raise GraphError(
                f"weight {weight.name} of the graph is not in the model: the model that is finished must be the one that was started"
            )
        if tuple(tensor.shape) != weight.shape or _dtype_name(tensor.dtype) != weight.dtype:
            found = f"{list(tensor.shape)} {_dtype_name(tensor.dtype)}"
            raise GraphError(f"weight {weight.name} is {found}, but the graph says {list(weight.shape)} {weight.dtype}")
        tensors[weight.name] = tensor.detach()
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _SAFETENSORS_DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    chunks = (t.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data for t in tensors.values() if t.numel())
    _write_atomically(Path(out_dir) / WEIGHTS_FILE, itertools.chain([struct.pack("<Q", len(head)), head], chunks))
    return 8 + len(head) + offset


def warm() -> None:
    """Load what the first trace loads (about two seconds), so that the next `export` is quick: for before the clock runs."""

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 4))

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.weight[tokens][:, None]
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)[:, 0].add_(1)

    model = Tiny()
    tokens = torch.zeros((1, 2), dtype=torch.int64)
    _trace(model, tokens, dict(model.named_parameters()), None)


def _trace(model: nn.Module, tokens: torch.Tensor, state: Mapping[str, torch.Tensor], autocast: torch.dtype | None) -> torch.fx.GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx

    names = list(state)

    def forward(tokens: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        with _KeepWhole():
            out = torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (tokens,))
        if not isinstance(out, torch.Tensor):
            raise GraphError(f"the model must return the logits alone, not {type(out).__name__}; pass an export_model() that does")
        return out

    training = model.training
    model.eval()
    region = torch.autocast(tokens.device.type, dtype=autocast) if autocast is not None else contextlib.nullcontext()
    try:
        with warnings.catch_warnings(), torch.no_grad(), _plain_eager():
            warnings.simplefilter("ignore")
            with region:
                traced = make_fx(forward, tracing_mode="fake", _allow_non_fake_inputs=True)(tokens, *state.values())
            if any(_mutates(node) for node in traced.graph.nodes):
                traced = make_fx(torch.func.functionalize(traced), tracing_mode="fake", _allow_non_fake_inputs=True)(
                    tokens, *state.values()
                )
    except GraphError:
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GraphError(
            f"the model cannot be traced at a fixed shape ({type(error).__name__}: {first[:300]}); branches on tensor values, .item(), "
            "flex_attention and custom kernels need an export_model() that does the same in plain operations"
        ) from error
    finally:
        model.train(training)
    return traced


def _describe(traced: torch.fx.GraphModule, tokens: torch.Tensor, state: Mapping[str, torch.Tensor]) -> tuple[dict[str, Any], GraphInfo]:
    """Walk the fx graph into the format above."""
    if any(_mutates(node) for node in traced.graph.nodes):
        raise GraphError("the model's forward writes into its own weights or buffers; compute with a copy instead")
    traced.graph.eliminate_dead_code()
    names = [None, *state]
    weights: list[Weight] = []
    constants: dict[str, torch.Tensor] = {}
    references: dict[Any, dict[str, Any]] = {}
    nodes: list[dict[str, Any]] = []
    output = None

    def weight_reference(name: str, tensor: torch.Tensor) -> dict[str, Any]:
        if tensor.dtype not in _SAFETENSORS_DTYPES:
            raise GraphError(f"weight {name} has dtype {tensor.dtype}, which the artifact cannot hold")
        weights.append(Weight(name=name, shape=tuple(tensor.shape), dtype=_dtype_name(tensor.dtype)))
        return {"weight": len(weights) - 1}

    placeholders = -1
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            placeholders += 1
            if placeholders == 0:
                references[node] = {"input": "tokens"}
            elif node.users:
                name = names[placeholders]
                assert name is not None
                references[node] = weight_reference(name, state[name])
        elif node.op == "get_attr":
            value = getattr(traced, node.target)
            if not isinstance(value, torch.Tensor):
                raise GraphError(f"the trace holds a nested program ({node.target}); control-flow operations are not part of the format")
            name = f"constant.{len(constants)}"
            constants[name] = value
            references[node] = weight_reference(name, value)
        elif node.op == "call_function":
            if node.target.__name__ == "getitem" and not isinstance(node.target, torch._ops.OpOverload):
                source, item = node.args
                references[node] = {**references[source], "item": int(item)}
                continue
            name = _operation_name(node)
            name = _RESHAPES.get(name, name)
            kwargs = {key: value for key, value in node.kwargs.items() if key not in _UNSAID and value is not None}
            if name in _EMPTY:
                name = _EMPTY[name]
                kwargs.pop("memory_format", None)
            if name in _IDENTITIES and len(node.args) == 1 and not kwargs:
                references[node] = references[node.args[0]]
                continue
            references[node] = {"node": len(nodes)}
            nodes.append(
                {
                    "op": name,
                    "args": [_argument(value, references) for value in node.args],
                    "kwargs": {key: _argument(value, references) for key, value in kwargs.items()},
                }
            )
        elif node.op == "output":
            (output_node,) = node.args if not isinstance(node.args[0], (list, tuple)) else node.args[0]
            output = references[output_node]
            shape = tuple(output_node.meta["val"].shape) if "val" in output_node.meta else ()
    batch, length = tokens.shape
    if len(shape) != 3 or shape[:2] != (batch, length):
        raise GraphError(f"the model must map tokens [{batch}, {length}] to logits [{batch}, {length}, V], not to {list(shape)}")
    document = {
        "format_version": FORMAT_VERSION,
        "inputs": {"tokens": [batch, length]},
        "weights": [{"name": w.name, "shape": list(w.shape), "dtype": w.dtype} for w in weights],
        "nodes": nodes,
        "output": output,
    }
    info = GraphInfo(batch=batch, length=length, vocabulary=shape[2], nodes=len(nodes), weights=tuple(weights), constants=constants)
    return document, info


def _argument(value: Any, references: Mapping[Any, dict[str, Any]]) -> Any:
    """One argument of a node as JSON."""
    if isinstance(value, torch.fx.Node):
        return references[value]
    if isinstance(value, (list, tuple)):
        return [_argument(item, references) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise GraphError("the trace holds a literal NaN")
        return {"float": "inf" if value > 0 else "-inf"}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, torch.dtype):
        return {"dtype": _dtype_name(value)}
    if isinstance(value, torch.memory_format):
        return {"memory_format": str(value).removeprefix("torch.")}
    if isinstance(value, torch.layout):
        return {"layout": str(value).removeprefix("torch.")}
    raise GraphError(f"the trace holds an argument of type {type(value).__name__}, which the format does not know")


def _operation_name(node: torch.fx.Node) -> str:
    if not isinstance(node.target, torch._ops.OpOverload):
        raise GraphError(f"the trace calls {node.target}, which is no operation with a name; pass an export_model() in plain operations")
    name = str(node.target)
    return _KEPT_NAMES.get(name, name)


def _mutates(node: torch.fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _keep(operation: torch._ops.OpOverload, name: str) -> Callable[..., Any]:
    """Make an operation opaque to the tracer: it appears as one node instead of the kernels that this device would pick."""
    schema = str(operation._schema)
    _KEPT.define(name + schema[schema.index("(") :])

    def call(*args: Any, **kwargs: Any) -> Any:
        return operation(*args, **kwargs)

    _KEPT.impl(name, call, "CompositeExplicitAutograd")
    torch.library.register_fake(f"appliance::{name}", call, lib=_KEPT)
    _KEPT_NAMES[f"appliance.{name}.default"] = str(operation)
    return getattr(torch.ops.appliance, name).default


_attention = _keep(torch.ops.aten.scaled_dot_product_attention.default, "scaled_dot_product_attention")
_group_norm = _keep(torch.ops.aten.group_norm.default, "group_norm")
_recurrent = {
    torch.gru: _keep(torch.ops.aten.gru.input, "gru"),
    torch.lstm: _keep(torch.ops.aten.lstm.input, "lstm"),
    torch.gru_cell: _keep(torch.ops.aten.gru_cell.default, "gru_cell"),
    torch.lstm_cell: _keep(torch.ops.aten.lstm_cell.default, "lstm_cell"),
}


class _KeepWhole(TorchFunctionMode):
    """Routes operations to their opaque twins, with the casts that autocast would have applied.

    Recurrent cells under autocast on a CPU are left to the tracer, which unrolls them: autocast there casts inside of the cell.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is _plain_attention:
            return _attend(*args, **kwargs)
        if function in (torch.group_norm, nn.functional.group_norm):
            return _group_norm(*args, **kwargs)
        if function in _recurrent and not isinstance(args[-1 if len(args) < 4 else 3], (list, tuple)):  # not the form for packed sequences
            kind = args[0].device.type
            if not torch.is_autocast_enabled(kind) or kind == "cuda":
                args, kwargs = _autocast(args, kwargs)
                return _recurrent[function](*args, **kwargs)
        return function(*args, **kwargs)


_plain_attention = nn.functional.scaled_dot_product_attention


def _attend(*args: Any, **kwargs: Any) -> torch.Tensor:
    args, kwargs = _autocast(args, kwargs)
    return _attention(*args, **kwargs)


def _autocast(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Arguments as autocast to its lower precision would pass them on; as they are where it is off."""
    kind = (args[0] if args else kwargs["query"]).device.type
    if not torch.is_autocast_enabled(kind):
        return args, kwargs
    lower = torch.get_autocast_dtype(kind)
    return _lowered(args, lower), {key: _lowered(value, lower) for key, value in kwargs.items()}


def _lowered(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_lowered(item, dtype) for item in value)
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


@contextlib.contextmanager
def _plain_eager() -> Iterator[None]:
    """Switch off what would hide operations from the tracer, such as compiled regions; reach the attention that functions call."""
    nn.functional.scaled_dot_product_attention = _attend
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        nn.functional.scaled_dot_product_attention = _plain_attention
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _write_atomically(path: Path, chunks: Any) -> None:
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
    temporary.rename(path)
