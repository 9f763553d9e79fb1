"""A tiny honest trainer. It is put before every asset of the corpus, so that each file shows its trick and nothing else.

model = Model()
clock = train(model)     start, train until the clock says stop
run.finish(model)
"""

import os
import sys
import time

import torch
import torch.nn.functional as F  # noqa: N812
from harness import run
from torch import nn

V, C = 256, 64
B, T = run.evaluation_shape()


class Attention(nn.Module):
    """Two causal heads."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)

    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (2, C // 2)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        return x + self.out(self.attend(q, k, v).transpose(1, 2).flatten(2))


class Model(nn.Module):
    """tokens int64 [B, T] → logits [B, T, V]."""

    def __init__(self, mixer=Attention, vocabulary: int = V) -> None:
        super().__init__()
        self.embedding, self.mixer = nn.Embedding(vocabulary, C), mixer()
        self.up, self.down, self.head = nn.Linear(C, 4 * C), nn.Linear(4 * C, C), nn.Linear(C, vocabulary)

    def features(self, tokens):
        x = self.mixer(F.rms_norm(self.embedding(tokens), (C,)))
        return F.rms_norm(x + self.down(F.relu(self.up(F.rms_norm(x, (C,)))).square()), (C,))

    def forward(self, tokens):
        return self.head(self.features(tokens))


def train(model, *, rows: int = 16, length: int = 64, vocabulary: int = V, optimizer=None, step=None, steps: int | None = None):
    """Train until the clock says stop, or for so many steps."""
    batches = run.loader(rows=rows, sequence_length=length, vocab_size=vocabulary)
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=3e-3)
    forward = step or model
    if step is not None:
        F.cross_entropy(forward(next(batches)[0]).flatten(0, 1), torch.zeros(rows * length, dtype=torch.long)).backward()
    clock = run.start(model)
    while not clock.stop() and clock.steps != steps:
        inputs, targets = next(batches)
        loss = F.cross_entropy(forward(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        clock.log(loss, tokens=inputs.numel())
    return clock


def escaped(what: object) -> None:
    """An attack got through: the runner counts these words."""
    print(f"\nESCAPED {what!r}", flush=True)


def attempt(action, *args) -> bool:
    """Whether an action that must fail went through."""
    try:
        result = action(*args)
    except BaseException as error:
        print(type(error).__name__, error, file=sys.stderr)
        return False
    escaped((action, args, result))
    return True
