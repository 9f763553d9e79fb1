"""The trainer's model and optimisers, written plainly: what `make bench-trainer` holds `train.py` against. An asset of the same harness.

In the style of the small GPT scripts that people start from: eager mode under autocast, one module for each thing, one matrix for each of
query, key and value, batches stacked by hand from a memory map, AdamW as it comes, Muon one matrix after the other. Nothing is slow on
purpose and nothing is tuned to a device. The mathematics are those of `train.py` (a test of the trainer holds the two to the same logits).
"""

import contextlib
import os

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- as everyone writes it
from harness import run
from torch import Tensor, nn

DEPTH = 8
WIDTH = 512
HEAD_DIM = 128
MLP_RATIO = 4.0
ACTIVATION = "relu2"
VOCAB_SIZE = 8192
WINDOW_PATTERN = "SSSL"
SHORT_WINDOW = 1024
VALUE_EMBEDDINGS = True
QK_NORM = True
RESIDUAL_MIX = True
LOGIT_CAP = 15.0
SEQUENCE_LENGTH = 2048
BATCH_TOKENS = 524288
MICRO_BATCH = 64
MATRIX_LR = 0.02
EMBED_LR = 0.3
HEAD_LR = 0.005
SCALAR_LR = 0.02
WEIGHT_DECAY = 0.1
MOMENTUM = 0.95
ADAM_BETA1 = 0.8
ADAM_BETA2 = 0.95
NEWTON_SCHULZ_STEPS = 5
WARMUP_SHARE = 0.0
WARMDOWN_SHARE = 0.5
FINAL_LR_SHARE = 0.0
BF16 = True

DEVICE = run.device()
CUDA = DEVICE.type == "cuda"
LOW = BF16 and (CUDA or torch.cpu._is_avx512_bf16_supported())
HEADS = max(1, round(WIDTH / HEAD_DIM))


def linear(inputs: int, outputs: int, scale: float = 1.0) -> nn.Linear:
    """A matrix without bias, uniform with variance scale² / inputs."""
    layer = nn.Linear(inputs, outputs, bias=False)
    bound = scale * (3 / inputs) ** 0.5
    nn.init.uniform_(layer.weight, -bound, bound)
    return layer


def norm(x: Tensor) -> Tensor:
    """Root-mean-square norm over the last dimension."""
    return F.rms_norm(x, (x.size(-1),))


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the two halves of each head of x [B, T, H, D] by cos and sin [T, 1, D/2]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1).to(x.dtype)


class CausalSelfAttention(nn.Module):
    """Multi-head attention over a window of tokens."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        letter = "L" if layer == DEPTH - 1 else WINDOW_PATTERN[layer % len(WINDOW_PATTERN)]
        self.window = min(SHORT_WINDOW, SEQUENCE_LENGTH) if letter == "S" else SEQUENCE_LENGTH
        self.query = linear(WIDTH, HEADS * HEAD_DIM)
        self.key = linear(WIDTH, HEADS * HEAD_DIM)
        self.value = linear(WIDTH, HEADS * HEAD_DIM)
        self.out = linear(HEADS * HEAD_DIM, WIDTH, scale=0.0)
        self.value_embedding = None
        if VALUE_EMBEDDINGS and (DEPTH - 1 - layer) % 2 == 0:
            self.value_embedding = nn.Embedding(VOCAB_SIZE, HEADS * HEAD_DIM)
            nn.init.zeros_(self.value_embedding.weight)

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        B, T, _ = x.shape  # noqa: N806
        q = self.query(x).view(B, T, HEADS, HEAD_DIM)
        k = self.key(x).view(B, T, HEADS, HEAD_DIM)
        v = self.value(x)
        if self.value_embedding is not None:
            v = v + self.value_embedding(tokens).to(v.dtype)
        v = v.view(B, T, HEADS, HEAD_DIM)
        if QK_NORM:
            q, k = norm(q), norm(k)
        q, k = rotary(q, cos, sin).to(v.dtype), rotary(k, cos, sin).to(v.dtype)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.window < T:
            age = torch.arange(T, device=x.device)[:, None] - torch.arange(T, device=x.device)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=(age >= 0) & (age < self.window))
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).contiguous().view(B, T, HEADS * HEAD_DIM))


class MLP(nn.Module):
    """Squared ReLU, or SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        gated = ACTIVATION == "swiglu"
        hidden = max(8, round(WIDTH * MLP_RATIO * (2 / 3 if gated else 1) / 8) * 8)
        self.gate = linear(WIDTH, hidden) if gated else None
        self.up = linear(WIDTH, hidden)
        self.down = linear(hidden, WIDTH, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        h = F.relu(self.up(x)).square() if self.gate is None else F.silu(self.gate(x)) * self.up(x)
        return self.down(h)


class Block(nn.Module):
    """Attention and MLP with their residual connections."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        self.attention = CausalSelfAttention(layer)
        self.mlp = MLP()

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        x = x + self.attention(norm(x), tokens, cos, sin)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """tokens int64 [B, T] → logits float32 [B, T, V]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, WIDTH)
        self.blocks = nn.ModuleList(Block(layer) for layer in range(DEPTH))
        self.head = linear(WIDTH, VOCAB_SIZE, scale=0.0)
        self.keep = nn.Parameter(torch.ones(DEPTH))
        self.recall = nn.Parameter(torch.full((DEPTH,), 0.1))
        nn.init.normal_(self.embedding.weight)
        frequency = 10_000.0 ** -torch.linspace(0, 1, HEAD_DIM // 2)
        angle = torch.outer(torch.arange(max(SEQUENCE_LENGTH, run.evaluation_shape()[1])), frequency)[:, None]
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each."""
        cos, sin = self.cos[: tokens.size(1)], self.sin[: tokens.size(1)]
        x = first = norm(self.embedding(tokens))
        for layer, block in enumerate(self.blocks):
            if RESIDUAL_MIX:
                x = self.keep[layer] * x + self.recall[layer] * first
            x = block(x, tokens, cos, sin)
        logits = self.head(norm(x)).float()
        return LOGIT_CAP * torch.tanh(logits / LOGIT_CAP) if LOGIT_CAP else logits


def newton_schulz(g: Tensor) -> Tensor:
    """Roughly the nearest semi-orthogonal matrix to g [M, N] (Jordan et al., 2024)."""
    x = g.bfloat16() if LOW else g.clone()
    tall = g.size(0) > g.size(1)
    if tall:
        x = x.T
    x = x / (x.norm() * 1.02 + 1e-6)
    for _ in range(NEWTON_SCHULZ_STEPS):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, one matrix after the other."""

    def __init__(self, matrices: list[Tensor], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:
        """One step."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
                update = newton_schulz(matrix.grad.lerp(state["momentum"], MOMENTUM))
                matrix.mul_(1 - group["lr"] * WEIGHT_DECAY)
                matrix.add_(update.to(matrix.dtype), alpha=-group["lr"] * max(1.0, matrix.size(0) / matrix.size(1)) ** 0.5)


def rate_share(progress: float) -> float:
    """Share of the peak learning rate at a share of the budget."""
    up = progress / WARMUP_SHARE if progress < WARMUP_SHARE else 1.0
    down = (1 - progress) / WARMDOWN_SHARE if progress > 1 - WARMDOWN_SHARE else 1.0
    return up * (FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * down)


def get_batch(data: np.memmap, rows: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets, int64 [rows, T], from random places."""
    places = torch.randint(len(data) - SEQUENCE_LENGTH - 1, (rows,))
    x = torch.stack([torch.from_numpy(data[i : i + SEQUENCE_LENGTH].astype(np.int64)) for i in places])
    y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + SEQUENCE_LENGTH].astype(np.int64)) for i in places])
    if CUDA:
        return x.pin_memory().to(DEVICE, non_blocking=True), y.pin_memory().to(DEVICE, non_blocking=True)
    return x, y


def train() -> None:
    """Everything, once."""
    torch.set_float32_matmul_precision("high")
    model = GPT().to(DEVICE)
    rows = max(1, min(MICRO_BATCH, BATCH_TOKENS // SEQUENCE_LENGTH))
    micro_steps = max(1, round(BATCH_TOKENS / (rows * SEQUENCE_LENGTH)))
    data = np.memmap(f"{os.environ['APPLIANCE_DATA']}/tokens-{VOCAB_SIZE}.bin", dtype="<u2", mode="r")
    matrices = [m.weight for name, m in model.named_modules() if isinstance(m, nn.Linear) and name != "head"]
    embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    groups = [(embeddings, EMBED_LR), ([model.head.weight], HEAD_LR), ([model.keep, model.recall] if RESIDUAL_MIX else [], SCALAR_LR)]
    adam = torch.optim.AdamW(
        [{"params": params, "lr": lr} for params, lr in groups if params],
        betas=(ADAM_BETA1, ADAM_BETA2),
        eps=1e-10,
        weight_decay=0.0,
        fused=CUDA,
    )
    optimisers = (adam, Muon(matrices, MATRIX_LR))
    peaks = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    region = torch.autocast(DEVICE.type, dtype=torch.bfloat16) if LOW else contextlib.nullcontext()

    def forward_backward(x: Tensor, y: Tensor) -> Tensor:
        with region:
            loss = F.cross_entropy(model(x).view(-1, VOCAB_SIZE), y.view(-1)) / micro_steps
        loss.backward()
        return loss.detach()

    forward_backward(*get_batch(data, rows))  # allocates before the clock starts
    model.zero_grad(set_to_none=True)
    clock = run.start(model)
    while not clock.stop():
        total = sum(forward_backward(*get_batch(data, rows)) for _ in range(micro_steps))
        share = rate_share(clock.progress)
        for optimiser, rates in zip(optimisers, peaks, strict=True):
            for group, peak in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = peak * share
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        clock.log(total, tokens=micro_steps * rows * SEQUENCE_LENGTH)
    run.finish(model)


if __name__ == "__main__":
    train()
