"""The asset's model and optimiser: that its short cuts mean what the long way means."""

import re
import sys
import types
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: runs in the image")

TRAINER = Path(__file__).resolve().parents[2] / "trainer"
sys.path.insert(0, str(TRAINER))


def asset(**constants) -> types.ModuleType:
    """The asset as a module, small, in float32, with these literals put in."""
    small = {"DEPTH": 2, "WIDTH": 32, "HEAD_DIM": 16, "VOCAB_SIZE": 256, "SEQUENCE_LENGTH": 24, "SHORT_WINDOW": 4, "WINDOW_PATTERN": '"SL"'}
    text = (TRAINER / "train.py").read_text()
    for name, value in (small | {"BF16": False} | constants).items():
        text, found = re.subn(rf"^{name} = [^#\n]*", f"{name} = {value}  ", text, flags=re.MULTILINE)
        assert found == 1, name
    module = types.ModuleType("asset")
    exec(compile(text, "train.py", "exec"), module.__dict__)
    return module


@pytest.fixture(autouse=True)
def control(tmp_path, monkeypatch):
    monkeypatch.setenv("APPLIANCE_CONTROL", str(tmp_path))
    monkeypatch.setenv("APPLIANCE_PARAMS", '{"evaluation_batch": 2, "evaluation_sequence": 48}')
    torch.manual_seed(5)


def model_of(module: types.ModuleType):
    """A model whose zero-initialised matrices hold something."""
    model = module.GPT()
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model


@pytest.mark.parametrize("activation", ['"relu2"', '"swiglu"'])
@pytest.mark.parametrize("pattern", ['"L"', '"SL"'])
def test_the_model_that_is_judged_is_the_one_that_was_trained(activation, pattern):
    module = asset(ACTIVATION=activation, WINDOW_PATTERN=pattern)
    model = model_of(module)
    tokens = torch.randint(256, (3, 24))
    torch.testing.assert_close(model.eval()(tokens), model.train()(tokens), rtol=1e-4, atol=1e-4)


def test_no_query_looks_further_back_than_it_did_in_training():
    """One layer, trained on rows of 24, judged on rows of 48: the token 24 places back must not matter."""
    module = asset(DEPTH=1)
    model = model_of(module).eval()
    tokens = torch.randint(256, (1, 48))
    other = tokens.clone()
    other[0, 10] = (other[0, 10] + 1) % 256
    changed = (model(tokens) != model(other)).any(-1)[0]
    assert changed[10:34].all()
    assert not changed[:10].any()
    assert not changed[34:].any()


def test_the_soft_cap_is_a_tanh_up_to_a_constant():
    module, plain = asset(LOGIT_CAP=15.0), asset(LOGIT_CAP=0.0)
    model = model_of(module)
    bare = plain.GPT()
    bare.load_state_dict(model.state_dict())
    tokens = torch.randint(256, (2, 24))
    expected = 15 * torch.tanh(bare(tokens) / 15)
    torch.testing.assert_close(model(tokens).log_softmax(-1), expected.log_softmax(-1), rtol=1e-4, atol=1e-4)


def test_orthogonalised_matrices_have_singular_values_near_one():
    module = asset()
    for shape in ((4, 32, 32), (2, 128, 32), (2, 32, 128)):
        values = torch.linalg.svdvals(module.orthogonalise(torch.randn(shape)).float())
        assert values.min() > 0.3
        assert values.max() < 1.6


def test_a_bank_steps_its_matrices_as_each_by_itself_would():
    module = asset()
    model = model_of(module)
    linear = model.attentions[1].qkv
    muon = module.Muon([m for n, m in model.named_modules() if isinstance(m, module.Linear) and n != "head"])
    before = linear.weight.detach().clone()
    torch.nn.functional.cross_entropy(model(torch.randint(256, (2, 24))).flatten(0, 1), torch.randint(256, (48,))).backward()
    gradient = linear.weight.grad.clone()
    muon.step(torch.tensor(0.02))
    for part in range(3):
        rows = slice(part * 32, (part + 1) * 32)
        nesterov = gradient[rows] * (1 - module.MOMENTUM) * (1 + module.MOMENTUM)
        update = module.orthogonalise(nesterov[None])[0]
        torch.testing.assert_close(
            linear.weight[rows], before[rows] * (1 - 0.02 * module.WEIGHT_DECAY) - 0.02 * update, rtol=1e-3, atol=1e-4
        )
    assert not linear.weight.grad.any()


def test_the_rate_rises_stays_and_falls_with_the_clock():
    module = asset(WARMUP_SHARE=0.1, WARMDOWN_SHARE=0.4, FINAL_LR_SHARE=0.1)
    assert [round(module.rate_share(p), 3) for p in (0.0, 0.05, 0.1, 0.6, 0.8, 1.0)] == [0.0, 0.5, 1.0, 1.0, 0.55, 0.1]


def test_heads_need_not_divide_the_width():
    module = asset(WIDTH=40, HEAD_DIM=32)
    assert model_of(module)(torch.randint(256, (2, 24))).shape == (2, 24, 256)
