"""The fixed harness and the asset, run for real on a small text: what a run hands over, and how it fails."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: runs in the image")
import numpy as np  # noqa: E402

TRAINER = Path(__file__).resolve().parents[2] / "trainer"
sys.path.insert(0, str(TRAINER))

from harness.clock import CURVE_POINTS, Clock  # noqa: E402
from harness.loader import Loader  # noqa: E402

CPU = torch.device("cpu")
TINY = {
    "DEPTH": 2, "WIDTH": 32, "HEAD_DIM": 32, "VOCAB_SIZE": 256, "SEQUENCE_LENGTH": 32, "BATCH_TOKENS": 128, "MICRO_BATCH": 2,
    "WINDOW_PATTERN": '"SL"', "SHORT_WINDOW": 8,
}  # fmt: skip


def asset(**constants) -> str:
    """The asset with these literals put in."""
    text = (TRAINER / "train.py").read_text()
    for name, value in constants.items():
        text, found = re.subn(rf"^{name} = [^#\n]*", f"{name} = {value}  ", text, flags=re.MULTILINE)
        assert found == 1, name
    return text


@pytest.fixture(scope="session")
def split(tmp_path_factory):
    """A split of bytes: three documents of one sentence over and over."""
    folder = tmp_path_factory.mktemp("split")
    stream = (b"\0" + b"the house met and the house rose. " * 40) * 3
    np.frombuffer(stream, dtype=np.uint8).astype("<u2").tofile(folder / "tokens-256.bin")
    (folder / "meta.json").write_text(json.dumps({"vocabularies": {"256": {"tokens": len(stream)}}}))
    return folder


@pytest.fixture
def train(tmp_path, split):
    """Runs an asset by the protocol; the host's part is written beforehand."""

    def go(text: str, budget_s: float = 0.5) -> tuple[subprocess.CompletedProcess, Path]:
        for name in ("asset", "control", "out"):
            (tmp_path / name).mkdir()
        (tmp_path / "asset" / "train.py").write_text(text)
        (tmp_path / "control" / "release").write_text('{"seed": 7}')
        (tmp_path / "control" / "grant").write_text(json.dumps({"budget_s": budget_s}))
        places = {f"APPLIANCE_{name.upper()}": str(tmp_path / name) for name in ("asset", "control", "out")}
        fixed = {"APPLIANCE_TASK": str(TRAINER), "APPLIANCE_DATA": str(split), "APPLIANCE_NONCE": "n1"}
        params = {"APPLIANCE_PARAMS": json.dumps({"evaluation_batch": 2, "evaluation_sequence": 64})}
        argv = [sys.executable, "-P", str(TRAINER / "harness" / "__main__.py")]
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "2"}
        done = subprocess.run(
            argv, env={**environment, **places, **fixed, **params}, capture_output=True, text=True, timeout=120, check=False
        )
        return done, tmp_path / "out"

    return go


def words(done: subprocess.CompletedProcess) -> list[str]:
    return re.findall(r"^::appliance n1 (\w+)$", done.stdout, re.MULTILINE)


def test_a_run_says_its_three_words_and_hands_over_what_the_graph_names(train):
    done, out = train(asset(**TINY))
    assert done.returncode == 0, done.stderr
    assert words(done) == ["ready", "mark", "done"]
    assert sorted(path.name for path in out.iterdir()) == ["claims.json", "graph.json", "weights.safetensors"]
    graph = json.loads((out / "graph.json").read_text())
    assert graph["inputs"] == {"tokens": [2, 64]}
    with (out / "weights.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert set(header) == {weight["name"] for weight in graph["weights"]}
    claims = json.loads((out / "claims.json").read_text())
    told = claims["observables"]
    assert told["tokens"] == 128 * told["steps"] > 0
    assert told["mfu"] is None
    losses = [loss for _, _, loss in claims["curve"]]
    assert losses[-1] < losses[0]


def test_an_asset_that_raises_ends_with_its_traceback(train):
    done, out = train("from harness import run\nraise KeyError('muon')\n")
    assert done.returncode == 1
    assert "KeyError: 'muon'" in done.stderr
    assert words(done) == ["ready"]
    assert list(out.iterdir()) == []


def test_a_loss_that_is_not_finite_is_named(train):
    done, out = train(asset(**TINY).replace("total += loss.detach()", "total += loss.detach() * float('nan')"))
    assert done.returncode == 1
    assert "loss is not finite at step 1" in done.stderr
    assert not (out / "weights.safetensors").exists()


def test_an_asset_that_never_finishes_is_told_so(train):
    done, _ = train("print('nothing to do')\n")
    assert done.returncode == 1
    assert "without run.finish(model)" in done.stderr


def test_a_vocabulary_that_was_not_prepared_is_refused_with_those_that_were(train):
    done, _ = train(asset(**TINY | {"VOCAB_SIZE": 1024}))
    assert done.returncode == 1
    assert "no vocabulary of 1024 in the data; there are 256" in done.stderr


def loader(split: Path, **changed) -> Loader:
    return Loader(split, **{"rows": 4, "sequence_length": 16, "vocab_size": 256, "seed": 3, "device": CPU} | changed)


def test_targets_are_the_inputs_one_token_later(split):
    inputs, targets = next(loader(split))
    assert inputs.shape == targets.shape == (4, 16)
    assert inputs.dtype == torch.int64
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_an_epoch_predicts_every_token_once_and_pads_nothing(split):
    stream = np.fromfile(split / "tokens-256.bin", dtype="<u2")
    np.arange(len(stream), dtype="<u2").tofile(split / "tokens-4096.bin")  # every token is its own place
    batches = loader(split, vocab_size=4096, rows=1)
    rows = (len(stream) - 1) // 16 - 1
    seen = np.concatenate([next(batches)[1].flatten().numpy() for _ in range(rows)])
    assert len(np.unique(seen)) == len(seen) >= 0.99 * (len(stream) - 1) - 32


def test_batches_follow_from_the_seed_alone(split):
    assert torch.equal(next(loader(split))[0], next(loader(split))[0])
    assert not torch.equal(next(loader(split))[0], next(loader(split, seed=4))[0])


def test_a_split_shorter_than_a_row_is_refused(split):
    with pytest.raises(SystemExit, match="too few for sequences of 65536"):
        loader(split, sequence_length=65536)


class Time:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_the_clock_stops_when_one_more_step_would_not_fit(monkeypatch):
    time = Time()
    monkeypatch.setattr("harness.clock.time", time)
    clock = Clock(10.0, CPU)
    while not clock.stop():
        time.now += 3.0
        clock.log(torch.tensor(1.0), tokens=8)
    assert (clock.steps, clock.tokens, time.now) == (3, 24, 9.0)
    assert clock.progress == pytest.approx(0.9)


def test_a_curve_stays_short_and_keeps_its_spacing(monkeypatch):
    time = Time()
    monkeypatch.setattr("harness.clock.time", time)
    clock = Clock(1e9, CPU)
    for _ in range(10 * CURVE_POINTS):
        time.now += 1.0
        clock.log(torch.tensor(1.0), tokens=8)
    steps = [step for _, step, _ in clock.curve]
    assert CURVE_POINTS / 2 <= len(steps) <= CURVE_POINTS
    assert {b - a for a, b in itertools.pairwise(steps)} == {16}
