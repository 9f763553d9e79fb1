"""The graph equals the model, passes the host's check, and is shown causal: for every kind of model that a good idea may need."""

# ruff: noqa: E402, N812 -- the trainer is no package: its folder goes on the path first

import json
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: runs in the image")
from torch import nn
from torch.nn import functional as F

TRAINER = Path(__file__).resolve().parents[2] / "trainer"
sys.path[:0] = [str(TRAINER / "evaluator"), str(TRAINER)]

import graph_format
from dependence import prove_causal
from harness import graph as graph_module
from operations import operations
from program import Program

B, T, V, C = 3, 24, 32, 16


class Model(nn.Module):
    """Embedding, one body, head."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.embedding, self.body, self.head = nn.Embedding(V, C), body, nn.Linear(C, V)

    def forward(self, tokens):
        return self.head(self.body(self.embedding(tokens)))


class Attention(nn.Module):
    def __init__(self, window: int | None = None, by_hand: float | None = None, heads_kv: int = 2) -> None:
        super().__init__()
        self.q, self.kv, self.window, self.by_hand, self.heads_kv = nn.Linear(C, C), nn.Linear(C, heads_kv * C), window, by_hand, heads_kv

    def forward(self, x):
        rows, length, _ = x.shape
        q = self.q(x).view(rows, length, 2, C // 2).transpose(1, 2)
        k, v = self.kv(x).view(rows, length, 2 * self.heads_kv, C // 2).transpose(1, 2).chunk(2, 1)
        age = torch.arange(length)[:, None] - torch.arange(length)
        if self.by_hand is not None:
            scores = (q @ k.mT / 3).masked_fill(age < 0, self.by_hand)
            y = scores.softmax(-1) @ v
        elif self.window:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=(age >= 0) & (age < self.window))
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.heads_kv == 1)
        return x + y.transpose(1, 2).reshape(rows, length, C)


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(C, 4), nn.Parameter(torch.randn(4, C, C)), nn.Parameter(torch.randn(4, C, C))

    def forward(self, x):
        share = self.gate(x).softmax(-1)
        values, index = share.topk(2, -1)
        weight = torch.zeros_like(share).scatter(-1, index, values)
        h = torch.einsum("btc,nch->btnh", x, self.up).relu().square()
        return x + torch.einsum("btnh,nhc,btn->btc", h, self.down, weight)


class Recurrent(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = nn.GRUCell(C, C) if kind == "unrolled" else getattr(nn, kind)(C, C, 2, batch_first=True)

    def forward(self, x):
        if not isinstance(self.cell, nn.GRUCell):
            return self.cell(x)[0]
        state, states = x[:, 0] * 0, []
        for step in x.unbind(1):
            state = self.cell(step, state)
            states.append(state)
        return torch.stack(states, 1)


class Shifted(nn.Module):
    """Token shift by writing into slices, a decayed sum, a plain attribute as a table, and a triangular mix."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.randn(T, C)
        self.mix = nn.Parameter(torch.randn(T, T))
        self.norm = nn.GroupNorm(2, C)

    def forward(self, x):
        y = torch.empty_like(x)
        y[:, :1] = 0
        y[:, 1:] = x[:, :-1]
        y += self.table
        y = y + torch.cumsum(x, 1) * 0.1 + torch.tril(self.mix) @ x
        return self.norm(y.reshape(-1, C)).view_as(x)


class Convolved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(C, C, 4, padding=3)

    def forward(self, x):
        return x + self.conv(x.mT)[..., : x.size(1)].mT


class Autocast(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.body(x).float()


class Documents(nn.Module):
    """Attention that does not look past the last BOS: its mask is made of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(V, C), nn.Linear(C, V)

    def forward(self, tokens):
        x = self.embedding(tokens)
        document = (tokens == 0).cumsum(1)
        causal = torch.ones(T, T, dtype=torch.bool).tril()
        mask = causal & (document[:, :, None] == document[:, None, :])
        return self.head(x + F.scaled_dot_product_attention(x, x, x, attn_mask=mask))


class Encoder(nn.Module):
    """The library's own layer, as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(C, 2, 2 * C, batch_first=True)

    def forward(self, x):
        return self.layer(x, src_mask=nn.Transformer.generate_square_subsequent_mask(x.size(1)), is_causal=True)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.value = nn.Embedding(V, C), nn.Embedding(V, C)
        self.head = nn.Linear(C, V, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens):
        x = F.rms_norm(self.embedding(tokens), (C,))
        v = self.value(tokens)
        x = x + F.scaled_dot_product_attention(x, x, v, is_causal=True)
        return 15 * torch.tanh(F.linear(x.bfloat16(), self.head.weight.bfloat16()).float() / 15)


HONEST = {
    "full attention": lambda: Model(Attention()),
    "sliding window": lambda: Model(Attention(window=5)),
    "attention by hand with -inf": lambda: Model(Attention(by_hand=float("-inf"))),
    "attention by hand with a large number": lambda: Model(Attention(by_hand=-1e9)),
    "grouped queries": lambda: Model(Attention(heads_kv=1)),
    "mixture of experts": lambda: Model(Experts()),
    "GRU": lambda: Model(Recurrent("GRU")),
    "LSTM": lambda: Model(Recurrent("LSTM")),
    "unrolled cell": lambda: Model(Recurrent("unrolled")),
    "token shift": lambda: Model(Shifted()),
    "convolution": lambda: Model(Convolved()),
    "autocast experts": lambda: Model(Autocast(Experts())),
    "autocast attention": lambda: Model(Autocast(Attention())),
    "encoder layer": lambda: Model(Encoder()),
    "documents": Documents,
    "tied, value embeddings, soft cap": Tied,
}


class Future(nn.Module):
    """Adds something of the next token, in one way or another."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x):
        n = x.size(1)
        if self.how == "roll":
            return x + x.roll(-1, 1)
        if self.how == "attention":
            return F.scaled_dot_product_attention(x, x, x)
        if self.how == "window one too far":
            age = torch.arange(n)[:, None] - torch.arange(n)
            return F.scaled_dot_product_attention(x, x, x, attn_mask=age >= -1)
        if self.how == "mean over time":
            return x - x.mean(1, keepdim=True)
        if self.how == "mean over rows":
            return x + x.mean(0, keepdim=True)
        if self.how == "rows shifted":
            return x + x.roll(1, 0)
        if self.how == "NaN through a zero":
            poisoned = torch.where(x > 0, torch.inf, x)
            mixed = torch.ones(n, n).tril() @ poisoned
            return x + torch.isnan(mixed).float()
        if self.how == "reverse scan":
            return x.flip(1).cumsum(1).flip(1)
        if self.how == "half a mask":
            return (x @ x.mT).masked_fill(torch.arange(n)[:, None] < torch.arange(n), -1e4).add(2e4 * x[..., 0][:, None]).softmax(-1) @ x
        if self.how == "sort over time":
            return x.sort(1).values
        return F.layer_norm(x, (n, C))


def export(model: nn.Module, folder: Path) -> Program:
    info = graph_module.export(model, (B, T), folder)
    graph_module.save_weights(model, info, folder)
    checked = graph_format.parse((folder / "graph.json").read_bytes())
    with (folder / "weights.safetensors").open("rb") as file:
        spans = graph_format.check_weights(file, (folder / "weights.safetensors").stat().st_size, checked)
        weights = []
        for weight in checked.weights:
            file.seek(spans[weight.name][0])
            data = bytearray(file.read(spans[weight.name][1] - spans[weight.name][0]))
            weights.append(torch.frombuffer(data, dtype=getattr(torch, weight.dtype)).reshape(weight.shape))
    program = Program(checked, weights, torch.device("cpu"))
    assert program.measure(1 << 30)[0] == (B, T, V)
    return program


@pytest.mark.parametrize("name", HONEST)
def test_the_rebuilt_graph_equals_the_model_bit_for_bit_and_is_shown_causal(name, tmp_path):
    torch.manual_seed(0)
    model = HONEST[name]().eval()
    program = export(model, tmp_path)
    tokens = torch.randint(0, V, (B, T))
    watch = prove_causal(program)
    assert watch is not None
    with torch.no_grad():
        expected = model(tokens)
    found = program(tokens, watch.callbacks())
    other_kernels = name in ("GRU", "encoder layer")  # other strides; a fused path of its own in eval mode
    assert torch.equal(found, expected) or (other_kernels and torch.allclose(found, expected, atol=1e-5))
    assert not watch.broken


@pytest.mark.parametrize(
    "how",
    [
        "roll",
        "attention",
        "window one too far",
        "mean over time",
        "mean over rows",
        "rows shifted",
        "NaN through a zero",
        "reverse scan",
        "half a mask",
        "sort over time",
        "norm over time",
    ],
)
def test_no_model_that_sees_the_future_or_another_row_is_shown_causal(how, tmp_path):
    torch.manual_seed(0)
    program = export(Model(Future(how)), tmp_path)
    watch = prove_causal(program)
    if watch is not None:
        program(torch.randint(0, V, (B, T)), watch.callbacks())
        assert watch.broken


def test_the_host_check_passes_a_whole_artifact_without_torch(tmp_path):
    export(Model(Attention()), tmp_path)
    check = [sys.executable, "-I", str(TRAINER / "checks" / "artifact.py"), "end", str(tmp_path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_branch_on_values_says_to_write_an_export_model(tmp_path):
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(graph_module.GraphError, match="export_model"):
        graph_module.export(Model(Branch()), (B, T), tmp_path)


def test_a_model_that_writes_into_its_buffer_is_refused(tmp_path):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen += 1
            return x * self.seen

    with pytest.raises(graph_module.GraphError, match="writes into"):
        graph_module.export(Model(Counter()), (B, T), tmp_path)


def test_weights_of_another_shape_than_at_the_mark_are_not_saved(tmp_path):
    model = Model(Attention())
    info = graph_module.export(model, (B, T), tmp_path)
    model.head = nn.Linear(C, V + 1)
    with pytest.raises(graph_module.GraphError, match=r"head\.weight"):
        graph_module.save_weights(model, info, tmp_path)


def test_weights_are_read_by_the_usual_library_too(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    model = Model(Attention())
    export(model, tmp_path)
    loaded = safetensors.load_file(tmp_path / "weights.safetensors")
    assert torch.equal(loaded["head.weight"], model.head.weight)
    assert set(loaded) == {weight["name"] for weight in json.loads((tmp_path / "graph.json").read_text())["weights"]}


def test_every_operation_of_the_allowlist_exists_in_torch_is_pure_and_takes_what_the_list_says():
    for name, operation in operations().items():
        base, _, overload = name.rpartition(".")
        schema = getattr(getattr(torch.ops.aten, base), overload)._schema
        assert not schema.is_mutable, name
        theirs = [
            a
            for a in schema.arguments
            if str(a.type) not in ("Optional[Device]", "Optional[Generator]", "Optional[Layout]") and a.name != "pin_memory"
        ]
        assert [p.name for p in operation.parameters] == [
            a.name for a in theirs if a.name not in ("device", "layout", "dtype", "generator")
        ] or [p.name for p in operation.parameters] == [a.name for a in theirs if a.name not in ("device", "layout", "generator")], name
        assert [p.keyword_only for p in operation.parameters] == [
            a.kwarg_only for a in theirs if a.name not in ("device", "layout", "generator")
        ], name
        assert "random" not in torch.ops.aten.__dict__.get(base, base).__class__.__name__
        assert torch.Tag.nondeterministic_seeded not in getattr(getattr(torch.ops.aten, base), overload).tags or "dropout" in str(schema), (
            name
        )
