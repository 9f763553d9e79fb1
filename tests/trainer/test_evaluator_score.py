"""The evaluator against values computed another way, honest models of every kind, and models that see the future."""

# ruff: noqa: E402, N812, PT017 -- the trainer is no package: its folder goes on the path first

import importlib.util
import json
import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: runs in the image")
from torch import nn
from torch.nn import functional as F

TRAINER = Path(__file__).resolve().parents[2] / "trainer"
sys.path[:0] = [str(TRAINER / "evaluator"), str(TRAINER)]

import split
from harness import graph as graph_module
from poisson import lower_limit, upper_limit
from proof import Rejected

spec = importlib.util.spec_from_file_location("evaluator_main", TRAINER / "evaluator" / "__main__.py")
evaluator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(evaluator)

B, T, V = 8, 32, 256
LETTERS = "abcdefghij äöü—„“ étude, X.Y"
DOCUMENTS = ["".join(random.Random(i).choices(LETTERS, k=400)).encode() for i in range(20)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A split of bytes."""
    folder = tmp_path_factory.mktemp("split")
    tokens, starts = [], [0]
    for document in DOCUMENTS:
        tokens += [0, *document]
        starts.append(len(tokens))
    np.array(tokens, "<u2").tofile(folder / "tokens-256.bin")
    np.save(folder / "documents-256.npy", np.array(starts, np.int64))
    np.save(folder / "token_bytes-256.npy", np.array([0] + [1] * 255, np.int32))
    np.save(folder / "legacy_bytes-256.npy", np.array([0] + [1] * 127 + [3] * 128, np.int32))
    (folder / "meta.json").write_text(json.dumps({"format_version": 1, "vocabularies": {"256": {"tokens": len(tokens)}}}))
    return folder


class Bigram(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(V, V)

    def forward(self, tokens):
        return self.table(tokens)


class Leaky(nn.Module):
    """A bigram table plus the next token, in a share of the places that only the text decides."""

    def __init__(self, share: float = 1.0, strength: float = 20.0, gate_rows: bool = False) -> None:
        super().__init__()
        self.table, self.share, self.strength, self.gate_rows = nn.Embedding(V, V), share, strength, gate_rows

    def forward(self, tokens):
        following = torch.cat((tokens[:, 1:], tokens[:, :1]), 1)
        mixed = (tokens * 7919 + tokens.roll(1, 1) * 104729 + tokens.roll(2, 1) * 1299709) % 10007
        if self.gate_rows:
            mixed = (tokens[:, :8].sum(1, keepdim=True) * 7919) % 10007
        gate = (mixed < self.share * 10007).float()
        return self.table(tokens) + self.strength * F.one_hot(following, V).float() * gate[..., None]


class Sorted(nn.Module):
    """Honest, but no rule shows it: places are sorted and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(V, V)

    def forward(self, tokens):
        order = tokens.argsort(dim=1, stable=True)
        return self.table(tokens.gather(1, order).gather(1, order.argsort(1)))


def evaluate(model, data, folder, **params):
    torch.manual_seed(0)
    info = graph_module.export(model, (B, T), folder)
    graph_module.save_weights(model, info, folder)
    settings = {"evaluation_bytes": 6_000, "split": "val", "smallest_effect": 0.05} | params
    return evaluator.evaluate(folder, split.read(data, settings["evaluation_bytes"]), settings, torch.device("cpu"))


def test_the_score_is_bits_per_raw_byte_and_the_legacy_value_counts_broken_bytes_as_three(data, tmp_path):
    torch.manual_seed(1)
    model = Bigram()
    result = evaluate(model, data, tmp_path, per_document=True)
    stream = np.concatenate([[0, *document] for document in DOCUMENTS])
    count = np.cumsum(stream[1:] > 0)
    end = int(np.searchsorted(count, 6_000, side="right"))
    inputs, targets = torch.tensor(stream[:end]), torch.tensor(stream[1 : end + 1])
    cost = F.cross_entropy(model.table.weight[inputs].double(), targets, reduction="none").detach().numpy() / math.log(2)
    counted = targets.numpy() > 0
    (score,) = result["scores"]
    assert result["valid"]
    assert score["bytes"] == 6_000 == counted.sum()
    assert score["score"] == pytest.approx(cost[counted].sum() / 6_000, rel=1e-6)
    legacy = np.where(targets.numpy()[counted] > 127, 3, 1).sum()
    assert score["score_legacy"] == pytest.approx(cost[counted].sum() / legacy, rel=1e-6)
    assert sum(bits for bits, _ in score["documents"]) == pytest.approx(cost[counted].sum(), rel=1e-6)
    assert [size for _, size in score["documents"]][:3] == [len(document) for document in DOCUMENTS[:3]]


def test_the_work_of_a_prediction_is_counted_in_the_artifact_not_taken_from_a_claim(data, tmp_path):
    (score,) = evaluate(nn.Sequential(nn.Embedding(V, 16), nn.Linear(16, V)), data, tmp_path)["scores"]
    assert score["observables"] == {"forward_flops_per_token": 2 * 16 * V}


def test_a_causal_graph_is_shown_so_and_needs_one_pass(data, tmp_path):
    proof = evaluate(Bigram(), data, tmp_path)["proof"]
    assert (proof["method"], proof["passes"], proof["places_flagged"], proof["leak_bound"]) == ("dependence", 1, 0, 0.0)


def test_what_no_rule_shows_is_sampled_until_the_bound_is_below_the_smallest_effect(data, tmp_path):
    proof = evaluate(Sorted(), data, tmp_path)["proof"]
    assert proof["method"] == "sampling"
    assert proof["passes"] > 1
    assert proof["leak_bound"] == pytest.approx(-math.log(0.01) / proof["places"] * 8)
    assert proof["leak_bound"] < 0.05


def test_what_cannot_be_proved_in_the_passes_allowed_gets_no_score(data, tmp_path):
    result = evaluate(Sorted(), data, tmp_path, proof_passes=1)
    assert (result["valid"], result["reason"], result["scores"]) == (False, "not_causal", [])
    assert "not proved" in result["detail"]


@pytest.mark.parametrize(
    "model",
    [Leaky(), Leaky(0.1), Leaky(0.01), Leaky(0.02, gate_rows=True), Leaky(strength=0.05), Leaky(strength=1e-4)],
    ids=["everywhere", "a tenth of the places", "a hundredth", "a few rows", "faintly", "below the tolerance"],
)
def test_a_leak_of_any_shape_is_rejected_or_worth_less_than_the_smallest_effect(model, data, tmp_path):
    result = evaluate(model, data, tmp_path)
    if result["valid"]:
        assert model.strength == 1e-4
        assert result["proof"]["mean_gain_bits"] < 1e-3
        assert result["proof"]["leak_bound"] < 0.05
    else:
        assert result["reason"] == "not_causal"


class Sick(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.table, self.how = nn.Embedding(V, V), how

    def forward(self, tokens):
        x = self.table(tokens)
        if self.how == "infinite":
            return x.masked_fill(x > 2, torch.inf)
        if self.how == "minus infinite":
            return x.masked_fill(x < -2, -torch.inf)
        if self.how == "another vocabulary":
            return x[..., :100]
        if self.how == "integers":
            return x.to(torch.int64)
        return x + x.mean(0, keepdim=True)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("infinite", "not_finite"),
        ("minus infinite", "not_finite"),
        ("another vocabulary", "wrong_shape"),
        ("integers", "wrong_shape"),
        ("rows", "not_causal"),
    ],
)
def test_a_sick_graph_gets_a_reason_and_no_score(how, reason, data, tmp_path):
    try:
        result = evaluate(Sick(how), data, tmp_path)
    except Rejected as rejected:
        assert rejected.reason == reason
    else:
        assert (result["valid"], result["reason"]) == (False, reason)


def test_the_program_reads_writes_and_speaks_as_the_protocol_says(data, tmp_path):
    evaluate(Bigram(), data, tmp_path)
    out, control = tmp_path / "out", tmp_path / "control"
    out.mkdir()
    control.mkdir()
    (control / "release").touch()
    environment = {
        "APPLIANCE_DATA": str(data),
        "APPLIANCE_ARTIFACT": str(tmp_path),
        "APPLIANCE_OUT": str(out),
        "APPLIANCE_CONTROL": str(control),
        "APPLIANCE_NONCE": "n0nce",
        "APPLIANCE_PARAMS": json.dumps({"evaluation_bytes": 5_000, "split": "test"}),
        "PATH": os.environ["PATH"],
    }
    program = [sys.executable, "-P", str(TRAINER / "evaluator" / "__main__.py")]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "::appliance n0nce done\n" in done.stdout) == (0, True), done.stderr
    assert json.loads((out / "score.json").read_text())["scores"][0]["split"] == "test"
    (tmp_path / "graph.json").write_text("{}")
    subprocess.run(program, env=environment, capture_output=True, check=True)
    refused = json.loads((out / "score.json").read_text())
    assert (refused["valid"], refused["reason"]) == (False, "artifact_not_allowed")


def test_a_graph_that_would_not_fit_is_refused_before_it_allocates(data, tmp_path):
    class Huge(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(V, V)

        def forward(self, tokens):
            x = self.table(tokens)
            return x + (x.repeat(1, 1, 1 << 20).sum(-1, keepdim=True)) * 0

    with pytest.raises(evaluator.graph_format.FormatError, match="bytes"):
        evaluate(Huge(), data, tmp_path)


def test_poisson_limits_are_the_tabled_ones():
    assert upper_limit(0, 0.01) == pytest.approx(4.605, abs=1e-3)
    assert upper_limit(1, 0.01) == pytest.approx(6.638, abs=1e-3)
    assert upper_limit(10, 0.05) == pytest.approx(16.962, abs=1e-3)
    assert lower_limit(0, 0.01) == 0.0
    assert lower_limit(1, 0.01) == pytest.approx(0.01005, abs=1e-4)
    assert lower_limit(10, 0.05) == pytest.approx(5.425, abs=1e-3)
