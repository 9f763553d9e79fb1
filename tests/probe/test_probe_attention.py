"""Deliberately wrong attention backends, planted: each is rejected, with what is wrong with it."""

from collections.abc import Callable
from typing import Any

PLANT = """
import os, torch, attention, attention_plan, phases
from torch import Tensor
right = attention.plain

def fine(q, k, v, window):
    seen = attention.mask(q.size(2), window, q.device)
    return torch.nn.functional.scaled_dot_product_attention(q, *attention._expanded(q, k, v), attn_mask=seen)

def sees_the_future(q, k, v, window):
    k, v = attention._expanded(q, k, v)
    return torch.softmax((q @ k.transpose(-2, -1)) * q.size(-1) ** -0.5, -1) @ v

def forgets_the_window(q, k, v, window):
    return right(q, k, v, None)

def window_one_too_wide(q, k, v, window):
    return right(q, k, v, None if window is None else window + 1)

def rough(q, k, v, window):
    return right(q, k, v, window) * 1.05

def mixes_groups(q, k, v, window):
    n = q.size(1) // k.size(1)
    return right(q, k.repeat(1, n, 1, 1), v.repeat(1, n, 1, 1), window)

def pads_wrongly(q, k, v, window):
    out = right(q, k, v, window)
    if q.size(2) % 128:
        out = torch.cat((out[:, :, :-1], out[:, :, :1]), 2)
    return out

class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()
    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None

def bad_gradient(q, k, v, window):
    return right(Backward.apply(q, 1.2), k, v, window)

def endless_gradient(q, k, v, window):
    return right(Backward.apply(q, float("nan")), k, v, window)

def aborts(q, k, v, window):
    os.abort()

names = NAMES
attention.CANDIDATES.update({name: globals()[name] for name in names})
common = {"device": "cpu", "mode": "quick", "dtype": "bfloat16", "seed": 1}
attention_plan.cases = lambda device, mode: [
    {"head_dim": 64, "window": w, "batch": 1, "tokens": 64, "heads": 1} for w in (None, 16)
]
print(json.dumps({name: attention_plan.judge(phases.serve, name, common, lambda text: None) for name in names}))
"""


WRONG: dict[str, tuple[str | None, str | None]] = {
    "fine": (None, None),
    "sees_the_future": ("plain: output is wrong by", "plain: output is wrong by"),
    "forgets_the_window": (None, "plain: output is wrong by"),
    "window_one_too_wide": (None, "plain: output is wrong by"),
    "rough": ("plain: output is wrong by", "plain: output is wrong by"),
    "mixes_groups": ("grouped heads: output is wrong by", "grouped heads: output is wrong by"),
    "pads_wrongly": ("tokens not a multiple of 128: output is wrong", "tokens not a multiple of 128: output is wrong"),
    "bad_gradient": ("plain: gradient of q is wrong by", "plain: gradient of q is wrong by"),
    "endless_gradient": ("plain: gradient of q is not finite", "plain: gradient of q is not finite"),
    "aborts": ("the process died of SIGABRT", "the process died of SIGABRT"),
}
"""Candidate → how the reason of its rejection begins, causal and windowed."""


def test_planted_backends_are_judged_by_what_they_compute(torch_script: Callable[[str], Any]) -> None:
    told = torch_script(PLANT.replace("NAMES", repr(list(WRONG))))
    for name, reasons in WRONG.items():
        for row, expected in zip(told[name], reasons, strict=True):
            assert row["accepted"] is (expected is None), row
            assert expected is None or row["reason"].startswith(expected), row
