"""One attention backend: is it right, forward and backward, and how fast is it?

Support checks of libraries lie, so nothing is asked: it is run. Right means (the rule of the flash-attention tests): against an oracle of
higher precision, the largest error is at most 2 × that of plain low-precision attention, gradients 3 ×, all finite. Shapes: q [B, H, T, D],
k and v [B, G, T, D] with G ≤ H groups.
"""

import inspect
from collections.abc import Callable
from contextlib import suppress

import torch
from timing import CpuTimer, CudaTimer
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Attention = Callable[[Tensor, Tensor, Tensor, int | None], Tensor]
"""(q, k, v, window) → out [B, H, T, D]; always causal."""

FORWARD_FACTOR, BACKWARD_FACTOR = 2.0, 3.0


def serve(kind: str, request: dict, answer: Callable[[dict], None]) -> None:
    """Answer every case of the request in order."""
    dtype = getattr(torch, request["dtype"])
    timer = CudaTimer() if kind == "cuda" else CpuTimer()
    limit_s = 0.6 if request["mode"] == "full" else 0.25
    for case in request["cases"]:
        answer(judge(CANDIDATES[request["backend"]], request["backend"], case, kind, dtype, timer, limit_s))


def judge(
    candidate: Attention, backend: str, case: dict, kind: str, dtype: torch.dtype, timer: CpuTimer | CudaTimer, limit_s: float
) -> dict:
    """The result of one (head dim, window)."""
    head_dim, window = case["head_dim"], case["window"]
    row = {"backend": backend, "head_dim": head_dim, "window": window, "dtype": str(dtype).removeprefix("torch.")}
    refused = {**row, "accepted": False, "forward_s": None, "backward_s": None}
    for name, tokens, heads, groups in (("plain", 256, 4, 4), ("tokens not a multiple of 128", 193, 4, 4), ("grouped heads", 256, 4, 2)):
        seen = None if window is None else min(window, tokens // 3)
        try:
            wrong = check(candidate, kind, dtype, head_dim, tokens, heads, groups, seen)
        except Exception as error:  # whatever it raises is the reason it is rejected
            return {**refused, "reason": f"{name}: {_one_line(error)}"}
        if wrong:
            return {**refused, "reason": f"{name}: {wrong}"}
    try:
        forward_s, backward_s = speed(candidate, kind, dtype, case, timer, limit_s)
    except Exception as error:  # as above
        return {**refused, "reason": f"timing: {_one_line(error)}"}
    return {**row, "accepted": True, "reason": None, "forward_s": forward_s, "backward_s": backward_s}


def check(
    candidate: Attention, kind: str, dtype: torch.dtype, head_dim: int, tokens: int, heads: int, groups: int, window: int | None
) -> str | None:
    """What is wrong with the candidate's output or gradients, or None."""
    generator = torch.Generator(device=kind).manual_seed(head_dim + tokens)
    shapes = ((2, heads, tokens, head_dim), (2, groups, tokens, head_dim), (2, groups, tokens, head_dim), (2, heads, tokens, head_dim))
    q, k, v, cotangent = (torch.randn(shape, generator=generator, device=kind).to(dtype) for shape in shapes)
    exact = torch.float64 if dtype == torch.float32 else torch.float32
    oracle = _with_gradients(plain, q.to(exact), k.to(exact), v.to(exact), cotangent.to(exact), window)
    low = _with_gradients(plain, q, k, v, cotangent, window)
    ours = _with_gradients(candidate, q, k, v, cotangent, window)
    for name, truth, reference, value in zip(("output", "gradient of q", "gradient of k", "gradient of v"), oracle, low, ours, strict=True):
        if value.shape != truth.shape:
            return f"{name} has shape {tuple(value.shape)}, not {tuple(truth.shape)}"
        if not torch.isfinite(value).all():
            return f"{name} is not finite"
        factor = FORWARD_FACTOR if name == "output" else BACKWARD_FACTOR
        error = (value.to(exact) - truth).abs().max().item()
        allowed = factor * (reference.to(exact) - truth).abs().max().item()
        if error > allowed:
            return f"{name} is wrong by {error:.2g}, {factor:g} × plain attention's error is {allowed:.2g}"
    return None


def speed(
    candidate: Attention, kind: str, dtype: torch.dtype, case: dict, timer: CpuTimer | CudaTimer, limit_s: float
) -> tuple[float, float]:
    """Median seconds of the forward and of the backward pass."""
    shape = (case["batch"], case["heads"], case["tokens"], case["head_dim"])
    q, k, v = (torch.randn(shape, device=kind, dtype=dtype, requires_grad=True) for _ in range(3))
    cotangent = torch.randn(shape, device=kind, dtype=dtype)
    out = candidate(q, k, v, case["window"])
    backward, _ = timer.collect(lambda: torch.autograd.grad(out, (q, k, v), cotangent, retain_graph=True), limit_s, flush=False)
    forward, _ = timer.collect(lambda: candidate(q, k, v, case["window"]), limit_s, flush=False)
    return _median(forward), _median(backward)


def plain(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    """Attention as it is written down, in the precision of its arguments."""
    k, v = _expanded(q, k, v)
    scores = (q @ k.transpose(-2, -1)) * q.size(-1) ** -0.5
    return torch.softmax(scores.masked_fill(~mask(q.size(2), window, q.device), float("-inf")), dim=-1) @ v


def mask(tokens: int, window: int | None, device: torch.device) -> Tensor:
    """bool [T, T]: the key lies at or before the query and within the window."""
    age = torch.arange(tokens, device=device)[:, None] - torch.arange(tokens, device=device)
    return age >= 0 if window is None else (age >= 0) & (age < window)


def _sdpa(name: str) -> Attention:
    def attend(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with sdpa_kernel(getattr(SDPBackend, name)):
            if window is None:
                return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=k.size(1) != q.size(1))
            k, v = _expanded(q, k, v)
            return scaled_dot_product_attention(q, k, v, attn_mask=_kept_mask(q.size(2), window, q.device))

    return attend


def _flex(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    from torch.nn.attention.flex_attention import flex_attention

    if "flex" not in _compiled:
        for limit in ("recompile_limit", "cache_size_limit"):  # one compilation per case, whatever this torch calls it
            with suppress(AttributeError):
                setattr(torch._dynamo.config, limit, 64)
        _compiled["flex"] = torch.compile(flex_attention) if q.is_cuda else flex_attention
    return _compiled["flex"](q, k, v, block_mask=_block_mask(q.size(2), window, q.device), enable_gqa=k.size(1) != q.size(1))


def _varlen(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    k, v = _expanded(q, k, v)
    batch, heads, tokens, dim = q.shape
    packed = [t.transpose(1, 2).reshape(batch * tokens, heads, dim) for t in (q, k, v)]
    starts = torch.arange(batch + 1, device=q.device, dtype=torch.int32) * tokens
    options = {"window_size": (-1 if window is None else window - 1, 0)}
    if "window_size" not in inspect.signature(varlen_attn).parameters:
        if window is not None:
            raise NotImplementedError("this torch's varlen_attn has no window_size")
        options = {"is_causal": True}
    out = varlen_attn(*packed, starts, starts, tokens, tokens, **options)
    return out.reshape(batch, tokens, heads, dim).transpose(1, 2)


def _flash_package(module: str) -> Attention:
    def attend(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
        function = __import__(module, fromlist=["flash_attn_func"]).flash_attn_func
        seen = (None, None) if module.endswith("cute") else (-1, -1)
        arguments = [t.transpose(1, 2) for t in (q, k, v)]
        out = function(*arguments, causal=True, window_size=seen if window is None else (window - 1, 0))
        out = out[0] if isinstance(out, tuple) else out
        return out.transpose(1, 2)

    return attend


CANDIDATES: dict[str, Attention] = {
    "sdpa_flash": _sdpa("FLASH_ATTENTION"),
    "sdpa_efficient": _sdpa("EFFICIENT_ATTENTION"),
    "sdpa_cudnn": _sdpa("CUDNN_ATTENTION"),
    "sdpa_math": _sdpa("MATH"),
    "flex_attention": _flex,
    "varlen_attn": _varlen,
    "flash_attn_2": _flash_package("flash_attn"),
    "flash_attn_3": _flash_package("flash_attn_interface"),
    "flash_attn_4": _flash_package("flash_attn.cute"),
}
"""Every backend by name."""

_compiled: dict[str, Callable] = {}
_masks: dict[tuple, object] = {}


def _kept_mask(tokens: int, window: int | None, device: torch.device) -> Tensor:
    key = ("dense", tokens, window)
    if key not in _masks:
        _masks[key] = mask(tokens, window, device)
    return _masks[key]


def _block_mask(tokens: int, window: int | None, device: torch.device) -> object:
    from torch.nn.attention.flex_attention import create_block_mask

    key = ("block", tokens, window)
    if key not in _masks:

        def visible(b: Tensor, h: Tensor, query: Tensor, key_position: Tensor) -> Tensor:
            near = query >= key_position
            return near if window is None else near & (query - key_position < window)

        _masks[key] = create_block_mask(visible, None, None, tokens, tokens, device=device)
    return _masks[key]


def _expanded(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    groups = q.size(1) // k.size(1)
    return (k, v) if groups == 1 else (k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1))


def _with_gradients(attend: Attention, q: Tensor, k: Tensor, v: Tensor, cotangent: Tensor, window: int | None) -> tuple[Tensor, ...]:
    inputs = tuple(t.detach().clone().requires_grad_() for t in (q, k, v))
    out = attend(*inputs, window)
    return (out.detach(), *torch.autograd.grad(out, inputs, cotangent))


def _median(samples: list[list]) -> float:
    times = sorted(seconds for _, seconds, fine in samples if fine) or sorted(seconds for _, seconds, _ in samples)
    return times[len(times) // 2]


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    with suppress(ValueError):
        text = text[: text.index(" (function ")]
    return f"{type(error).__name__}: {text}"[:240]
