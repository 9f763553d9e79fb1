"""What `make bench-trainer` holds the asset against is the same model and the same optimiser, only written plainly."""

import itertools
import re
import sys
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: runs in the image")

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "trainer"))
SMALL = {
    "DEPTH": 3, "WIDTH": 32, "HEAD_DIM": 16, "MLP_RATIO": 4.0, "VOCAB_SIZE": 256, "SEQUENCE_LENGTH": 24, "SHORT_WINDOW": 4,
    "WINDOW_PATTERN": '"SL"', "ACTIVATION": '"relu2"', "VALUE_EMBEDDINGS": True, "WEIGHT_DECAY": 0.1,
}  # fmt: skip


def module_of(file: Path, constants: dict[str, object]) -> types.ModuleType:
    """A script as a module, in float32, with these literals put in."""
    text = file.read_text()
    for name, value in constants.items():
        text, found = re.subn(rf"^{name} = [^#\n]*", f"{name} = {value}  ", text, flags=re.MULTILINE)
        assert found == 1, name
    module = types.ModuleType(file.stem)
    exec(compile(text, file.name, "exec"), module.__dict__)
    return module


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """The two scripts with the same constants, and models of theirs with the same weights."""
    monkeypatch.setenv("APPLIANCE_CONTROL", str(tmp_path))
    monkeypatch.setenv("APPLIANCE_PARAMS", '{"evaluation_batch": 2, "evaluation_sequence": 48}')

    def make(**constants):
        torch.manual_seed(5)
        ours = module_of(REPOSITORY / "trainer" / "train.py", SMALL | constants | {"BF16": False})
        plain = module_of(REPOSITORY / "bench" / "plain_gpt.py", SMALL | constants | {"BF16": False})
        return ours, plain, *same_weights(ours.GPT(), plain.GPT())

    return make


def same_weights(ours, plain):
    """Both models with random weights, the same in both."""
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.normal_(std=0.2)
        for name in ("keep", "recall"):
            getattr(ours, name).copy_(getattr(plain, name))
        ours.embedding.weight.copy_(plain.embedding.weight)
        ours.head.weight.copy_(plain.head.weight)
        for attention, mlp, block in zip(ours.attentions, ours.mlps, plain.blocks, strict=True):
            theirs = block.attention
            attention.qkv.weight.copy_(torch.cat([theirs.query.weight, theirs.key.weight, theirs.value.weight]))
            attention.out.weight.copy_(theirs.out.weight)
            assert attention.has_value_embedding == (theirs.value_embedding is not None)
            if theirs.value_embedding is not None:
                attention.value_embedding.weight.copy_(theirs.value_embedding.weight)
            gate = [] if block.mlp.gate is None else [block.mlp.gate.weight]
            mlp.up.weight.copy_(torch.cat([*gate, block.mlp.up.weight]))
            mlp.down.weight.copy_(block.mlp.down.weight)
    return ours, plain


@pytest.mark.parametrize(("activation", "pattern", "cap"), list(itertools.product(['"relu2"', '"swiglu"'], ['"L"', '"SL"'], [15.0, 0.0])))
def test_the_plain_model_is_the_same_function(pair, activation, pattern, cap):
    _, _, ours, plain = pair(ACTIVATION=activation, WINDOW_PATTERN=pattern, LOGIT_CAP=cap)
    tokens = torch.randint(256, (3, 24))
    torch.testing.assert_close(ours(tokens).log_softmax(-1), plain(tokens).log_softmax(-1), rtol=1e-3, atol=1e-3)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in plain.parameters())


def test_the_plain_optimiser_takes_the_same_step(pair):
    ours_module, plain_module, ours, plain = pair()
    muon = ours_module.Muon([m for name, m in ours.named_modules() if isinstance(m, ours_module.Linear) and name != "head"])
    theirs = plain_module.Muon([m.weight for name, m in plain.named_modules() if isinstance(m, torch.nn.Linear) and name != "head"], 0.02)
    tokens, targets = torch.randint(256, (3, 24)), torch.randint(256, (3, 24))
    for model in (ours, plain):
        torch.nn.functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten()).backward()
    muon.step(torch.tensor(0.02))
    theirs.step()
    for attention, block in zip(ours.attentions, plain.blocks, strict=True):
        weights = [block.attention.query.weight, block.attention.key.weight, block.attention.value.weight]
        torch.testing.assert_close(attention.qkv.weight, torch.cat(weights), rtol=1e-3, atol=1e-3)
