"""A small GPT, trained until the clock says stop. The asset: all of this file may be changed, the harness it imports may not.

RoPE, RMSNorm, query-key norm, squared ReLU or SwiGLU, sliding windows, value embeddings, a soft cap on the logits; Muon for the matrices,
AdamW for everything else, both on a schedule that follows the clock. One file for CUDA and CPU.
Shapes: B rows, T tokens, C width, H heads, D head size, V vocabulary.
"""

import contextlib

import torch
import torch.nn.functional as F  # noqa: N812 -- as everyone writes it
from harness import run
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

# The model
DEPTH = 8  # layers
WIDTH = 512  # channels of the residual stream
HEAD_DIM = 128  # channels per head; there are round(WIDTH / HEAD_DIM) heads, at least one
MLP_RATIO = 4.0  # hidden channels of the MLP per channel of width
ACTIVATION = "relu2"  # "relu2" or "swiglu" (hidden channels cut by a third, for equal parameters)
VOCAB_SIZE = 8192  # tokens: 256 (bytes), 1024, 2048 or 8192
WINDOW_PATTERN = "SSSL"  # per layer, repeated: S sees SHORT_WINDOW tokens, L all of SEQUENCE_LENGTH; the last layer is always L
SHORT_WINDOW = 1024  # tokens
VALUE_EMBEDDINGS = True  # every second layer adds a learned vector per token to its values
QK_NORM = True  # RMS-normalise queries and keys
RESIDUAL_MIX = True  # every layer sees a learned mix of the stream and the embedding
LOGIT_CAP = 15.0  # logits are squashed into ± this; 0 is off

# The batch
SEQUENCE_LENGTH = 2048  # tokens per row
BATCH_TOKENS = 524288  # tokens per optimiser step
MICRO_BATCH = 64  # rows per forward and backward, at most; gradients accumulate over the rest

# The optimisers
MATRIX_LR = 0.02  # Muon, per step
EMBED_LR = 0.3  # AdamW, token and value embeddings
HEAD_LR = 0.005  # AdamW, output head
SCALAR_LR = 0.02  # AdamW, per-layer scalars
WEIGHT_DECAY = 0.1  # of the matrices, per unit of learning rate
MOMENTUM = 0.95  # Muon
ADAM_BETA1 = 0.8  # first-moment decay
ADAM_BETA2 = 0.95  # second-moment decay
NEWTON_SCHULZ_STEPS = 5  # iterations of Muon's orthogonalisation
WARMUP_SHARE = 0.0  # of the budget, learning rate rising from 0
WARMDOWN_SHARE = 0.5  # of the budget, learning rate falling at the end
FINAL_LR_SHARE = 0.0  # of the peak learning rate, reached at the end

# The machine
BF16 = True  # compute in bfloat16 where the device is fast at it, else float32
COMPILE = True  # torch.compile, on CUDA only: on a CPU it costs more start-up than a short run gains

DEVICE = run.device()
CUDA = DEVICE.type == "cuda"
DTYPE = torch.bfloat16 if BF16 and (CUDA or torch.cpu._is_avx512_bf16_supported()) else torch.float32
HEADS = max(1, round(WIDTH / HEAD_DIM))
EVALUATION_LENGTH = run.evaluation_shape()[1]


class Linear(nn.Linear):
    """A matrix kept in float32 and used in the input's dtype. `parts` matrices of equal shape lie one above the other in it."""

    def __init__(self, inputs: int, outputs: int, *, parts: int = 1, scale: float = 1.0) -> None:
        super().__init__(inputs, outputs * parts, bias=False)
        self.parts = parts
        bound = scale * (3 / inputs) ** 0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """[…, inputs] → […, outputs · parts]."""
        return F.linear(x, self.weight.to(x.dtype))


def norm(x: Tensor) -> Tensor:
    """Root-mean-square norm over the last dimension, without weights."""
    return F.rms_norm(x, (x.size(-1),))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of x [B, T, H, D] by cos and sin [T, 1, D]; channel i turns with channel i + D/2."""
    return x * cos + x.roll(HEAD_DIM // 2, dims=-1) * sin


def fastest_backend(windowed: bool) -> str:
    """The attention backend that the profile measured to be fastest at the nearest head size; "" where it does not say."""
    winners = (run.profile().get("measurement") or {}).get("attention_winners") or []
    fitting = [w for w in winners if (w["window"] is not None) == windowed]
    return min(fitting, key=lambda w: abs(w["head_dim"] - HEAD_DIM))["backend"] if fitting else ""


class Attend(nn.Module):
    """Causal attention over a window: one meaning, three ways to compute it.

    In `eval` it is plain SDPA: what the graph holds. Training takes what is fastest: SDPA with the profile's backend; flex attention for
    windows where the profile found that faster than a mask; on a CPU, for short rows, the two products and the softmax by themselves,
    whose forward and backward take half the time of SDPA's kernel.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self.flex = CUDA and COMPILE and window < SEQUENCE_LENGTH and fastest_backend(windowed=True) == "flex_attention"
        self.by_hand = not CUDA and SEQUENCE_LENGTH <= 512
        if self.flex:
            near = lambda b, h, i, j: (i >= j) & (i - j < window)  # noqa: E731
            self.block_mask = create_block_mask(near, None, None, SEQUENCE_LENGTH, SEQUENCE_LENGTH, device=DEVICE)
        if self.by_hand:
            mask = torch.zeros(SEQUENCE_LENGTH, SEQUENCE_LENGTH, dtype=DTYPE).masked_fill_(~self.visible(SEQUENCE_LENGTH), float("-inf"))
            self.register_buffer("mask", mask, persistent=False)

    def visible(self, T: int) -> Tensor:  # noqa: N803
        """bool [T, T]: no query looks ahead, or further back than it did in training, however long the evaluator's rows."""
        age = torch.arange(T, device=DEVICE)[:, None] - torch.arange(T, device=DEVICE)
        return (age >= 0) & (age < self.window)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys, values [B, H, T, D] → [B, H, T, D]."""
        B, H, T, D = q.shape
        if self.training and self.flex:
            return flex_attention(q, k, v, block_mask=self.block_mask)
        if self.training and self.by_hand:
            q, k, v = (t.reshape(B * H, T, D) for t in (q, k, v))
            return (torch.baddbmm(self.mask, q, k.mT, alpha=D**-0.5).softmax(dim=-1) @ v).view(B, H, T, D)
        if self.window < T:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.visible(T))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class Attention(nn.Module):
    """Heads over one window, with rotary positions and, in every second layer, value embeddings."""

    def __init__(self, layer: int) -> None:
        super().__init__()
        letter = "L" if layer == DEPTH - 1 else WINDOW_PATTERN[layer % len(WINDOW_PATTERN)]
        self.attend = Attend(min(SHORT_WINDOW, SEQUENCE_LENGTH) if letter == "S" else SEQUENCE_LENGTH)
        self.qkv = Linear(WIDTH, HEADS * HEAD_DIM, parts=3)
        self.out = Linear(HEADS * HEAD_DIM, WIDTH, scale=0.0)
        self.has_value_embedding = VALUE_EMBEDDINGS and (DEPTH - 1 - layer) % 2 == 0
        if self.has_value_embedding:
            self.value_embedding = nn.Embedding(VOCAB_SIZE, HEADS * HEAD_DIM)
            nn.init.zeros_(self.value_embedding.weight)

    def forward(self, x: Tensor, tokens: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        B, T, _ = x.shape
        qk, v = self.qkv(x).view(B, T, 3 * HEADS, HEAD_DIM).split((2 * HEADS, HEADS), dim=2)
        if self.has_value_embedding:
            v = v + self.value_embedding(tokens).to(v.dtype).view(v.shape)
        q, k = rotate(norm(qk) if QK_NORM else qk, cos, sin).chunk(2, dim=2)
        y = self.attend(*(t.transpose(1, 2) for t in (q, k, v)))
        return self.out(y.transpose(1, 2).reshape(B, T, HEADS * HEAD_DIM))


class MLP(nn.Module):
    """Two matrices around squared ReLU, or three around a gate."""

    def __init__(self) -> None:
        super().__init__()
        gated = ACTIVATION == "swiglu"
        hidden = max(8, round(WIDTH * MLP_RATIO * (2 / 3 if gated else 1) / 8) * 8)
        self.up = Linear(WIDTH, hidden, parts=2 if gated else 1)
        self.down = Linear(hidden, WIDTH, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, C] → [B, T, C]."""
        h = self.up(x)
        if ACTIVATION == "swiglu":
            gate, h = h.chunk(2, dim=-1)
            return self.down(F.silu(gate) * h)
        return self.down(F.relu(h).square())


class GPT(nn.Module):
    """tokens int64 [B, T] → logits float32 [B, T, V]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, WIDTH)
        self.attentions = nn.ModuleList(Attention(layer) for layer in range(DEPTH))
        self.mlps = nn.ModuleList(MLP() for _ in range(DEPTH))
        self.head = Linear(WIDTH, VOCAB_SIZE, scale=0.0)
        self.keep = nn.Parameter(torch.ones(DEPTH))
        self.recall = nn.Parameter(torch.full((DEPTH,), 0.1))
        nn.init.normal_(self.embedding.weight)
        frequency = 10_000.0 ** -torch.linspace(0, 1, HEAD_DIM // 2)
        angle = torch.outer(torch.arange(max(SEQUENCE_LENGTH, EVALUATION_LENGTH)), frequency)[:, None]
        self.register_buffer("cos", torch.cat((angle.cos(), angle.cos()), dim=-1).to(DTYPE), persistent=False)
        self.register_buffer("sin", torch.cat((angle.sin(), -angle.sin()), dim=-1).to(DTYPE), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the token after each."""
        T = tokens.size(1)
        cos, sin = self.cos[:T], self.sin[:T]
        x = first = norm(self.embedding(tokens).to(DTYPE))
        for layer, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            if RESIDUAL_MIX:
                x = self.keep[layer].to(DTYPE) * x + self.recall[layer].to(DTYPE) * first
            x = x + attention(norm(x), tokens, cos, sin)
            x = x + mlp(norm(x))
        logits = self.head(norm(x)).float()
        # cap · tanh(logits / cap) but for a constant, which a softmax does not see; a sigmoid costs a third of a tanh on a CPU
        return 2 * LOGIT_CAP * torch.sigmoid(logits * (2 / LOGIT_CAP)) if LOGIT_CAP else logits

    def flops_per_token(self) -> float:
        """Of forward and backward: 6 per matrix element, 12 per channel and token attended to."""
        matrices = sum(m.weight.numel() for m in self.modules() if isinstance(m, Linear))
        seen = sum(a.attend.window for a in self.attentions)
        return 6.0 * matrices + 12.0 * HEADS * HEAD_DIM * seen


def orthogonalise(g: Tensor) -> Tensor:
    """Roughly the nearest semi-orthogonal matrix to each of g [K, M, N]: Newton-Schulz with Muon's quintic (Jordan et al., 2024)."""
    x = g.to(DTYPE)
    tall = g.size(-2) > g.size(-1)
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-6)
    for _ in range(NEWTON_SCHULZ_STEPS):
        a = x @ x.mT
        b = torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315)
        x = torch.baddbmm(x, b, x, beta=3.4445)
    return x.mT if tall else x


class Muon:
    """Momentum, orthogonalised, for all matrices of one shape at a time.

    The matrices of a shape move into one bank [K, M, N], their gradients into a second: a step is a handful of batched operations,
    whatever the depth, and allocates nothing that the step before did not.
    """

    def __init__(self, matrices: list[Linear]) -> None:
        self.step_bank = torch.compile(self._step_bank) if COMPILE and CUDA else self._step_bank
        shapes: dict[tuple[int, int], list[Linear]] = {}
        for m in matrices:
            shapes.setdefault((m.out_features // m.parts, m.in_features), []).append(m)
        self.banks = [self._bank(alike, shape) for shape, alike in shapes.items()]

    @staticmethod
    def _bank(alike: list[Linear], shape: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        weights = torch.cat([m.weight.data.view(m.parts, *shape) for m in alike])
        gradients = torch.zeros_like(weights)
        parts = [m.parts for m in alike]
        for m, weight, gradient in zip(alike, weights.split(parts), gradients.split(parts), strict=True):
            m.weight.data = weight.view(m.weight.shape)
            m.weight.grad = gradient.view(m.weight.shape)
        return weights, gradients, torch.zeros_like(weights)

    @staticmethod
    def _step_bank(weights: Tensor, gradients: Tensor, momenta: Tensor, rate: Tensor) -> None:
        momenta.lerp_(gradients, 1 - MOMENTUM)
        update = orthogonalise(gradients.lerp_(momenta, MOMENTUM))
        weights.mul_(1 - rate * WEIGHT_DECAY)
        weights.sub_(update * (rate * max(1.0, weights.size(-2) / weights.size(-1)) ** 0.5))
        gradients.zero_()

    @torch.no_grad()
    def step(self, rate: Tensor) -> None:
        """One step at learning rate `rate` (0-dim, on the device); clears the gradients."""
        for bank in self.banks:
            self.step_bank(*bank, rate)

    @torch.no_grad()
    def zero_grad(self) -> None:
        """Clear the gradients, in place: they are views of the banks."""
        for _, gradients, _ in self.banks:
            gradients.zero_()


def rate_share(progress: float) -> float:
    """Share of the peak learning rate at a share of the budget: up, level, down."""
    up = progress / WARMUP_SHARE if progress < WARMUP_SHARE else 1.0
    down = (1 - progress) / WARMDOWN_SHARE if progress > 1 - WARMDOWN_SHARE else 1.0
    return up * (FINAL_LR_SHARE + (1 - FINAL_LR_SHARE) * down)


def attention_order() -> contextlib.AbstractContextManager[None]:
    """SDPA's kernels with the profile's fastest first."""
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    fastest = fastest_backend(windowed=False).removeprefix("sdpa_").upper()
    return sdpa_kernel(sorted(kernels, key=lambda kernel: not kernel.name.startswith(fastest or "FLASH")), set_priority=True)


def train() -> None:
    """Everything, once."""
    torch.set_float32_matmul_precision("high")
    torch.set_flush_denormal(True)
    model = GPT().to(DEVICE)
    rows = max(1, min(MICRO_BATCH, BATCH_TOKENS // SEQUENCE_LENGTH))
    micro_steps = max(1, round(BATCH_TOKENS / (rows * SEQUENCE_LENGTH)))
    batches = run.loader(rows=rows, sequence_length=SEQUENCE_LENGTH, vocab_size=VOCAB_SIZE)

    muon = Muon([m for name, m in model.named_modules() if isinstance(m, Linear) and name != "head"])
    embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
    scalars = [model.keep, model.recall] if RESIDUAL_MIX else []
    groups = [(embeddings, EMBED_LR), ([model.head.weight], HEAD_LR), (scalars, SCALAR_LR)]
    adam = torch.optim.AdamW(
        [{"params": params, "lr": peak, "peak": peak} for params, peak in groups if params],
        betas=(ADAM_BETA1, ADAM_BETA2),
        eps=1e-10,
        weight_decay=0.0,
        fused=True,
    )

    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()) / micro_steps

    if COMPILE and CUDA:
        loss_of = torch.compile(loss_of)
    loss_of(*next(batches)).backward()  # compiles and allocates before the clock starts
    muon.zero_grad()
    adam.zero_grad()

    clock = run.start(model, flops_per_token=model.flops_per_token())
    while not clock.stop():
        total = torch.zeros((), device=DEVICE)
        for _ in range(micro_steps):
            loss = loss_of(*next(batches))
            loss.backward()
            total += loss.detach()
        share = rate_share(clock.progress)
        for group in adam.param_groups:
            group["lr"] = group["peak"] * share
        adam.step()
        adam.zero_grad()
        muon.step(torch.tensor(MATRIX_LR * share, device=DEVICE))
        clock.log(total, tokens=micro_steps * rows * SEQUENCE_LENGTH)
    run.finish(model)


if __name__ == "__main__":
    with attention_order():
        train()
