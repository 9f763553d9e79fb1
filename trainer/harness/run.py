"""What the asset may ask of the harness.

One run per process, in this order::

    batches = run.loader(rows=…, sequence_length=…, vocab_size=…)   endless (inputs, targets) on `run.device()`
    clock = run.start(model)                                        graph to the host; blocks until it grants the budget
    while not clock.stop(): …; clock.log(loss, tokens)
    run.finish(model)                                               weights to the host; nothing after it counts

The graph is that of `model(tokens)` in `eval` mode: int64 `[evaluation_batch, evaluation_sequence]` (the preset's: as the evaluator will
call it) → logits `[batch, sequence, vocabulary]`. A model whose `forward` cannot be traced has a method `export_model()` that returns its
twin in plain operations, holding the same tensors.
"""

import json
import math
import resource
from typing import Any

import torch
from torch import nn

from harness import graph, protocol
from harness.clock import Clock
from harness.loader import Loader

WRITE_BYTES_PER_S = 400e6
"""Slowest writing of weights that the clock reckons with."""

WRITE_FREE_S = 0.5
"""Of writing that the host's finish cap covers; more is taken off the training."""

_state: dict[str, Any] = {}


def device() -> torch.device:
    """The device of this run: the one GPU that is mounted, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def profile() -> dict[str, Any]:
    """What the host measured about the device (`records.Profile`); `{}` where it is unknown."""
    path = protocol.folder("control") / "profile.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def evaluation_shape() -> tuple[int, int]:
    """Rows and tokens per row of the batch at which the model will be judged."""
    fixed = protocol.params()
    return int(fixed.get("evaluation_batch", 8)), int(fixed.get("evaluation_sequence", 256))


def loader(*, rows: int, sequence_length: int, vocab_size: int) -> Loader:
    """Endless batches of the train split: `(inputs, targets)`, int64 `[rows, sequence_length]`, on the device."""
    split = protocol.folder("data")
    _state["loader"] = Loader(
        split, rows=rows, sequence_length=sequence_length, vocab_size=vocab_size, seed=protocol.seed(), device=device()
    )
    return _state["loader"]


def start(model: nn.Module, *, flops_per_token: float | None = None) -> Clock:
    """Hand the graph to the host, wait for the budget, start the clock.

    `flops_per_token` (forward and backward) is what MFU is computed from. Everything slow belongs before this call: compilation, a
    warm-up step.

    Raises: GraphError where the model cannot be written as a graph.
    """
    out = protocol.folder("out")
    rows, length = evaluation_shape()
    info = graph.export(_plain(model), (rows, length), out)
    params = sum(p.numel() for p in model.parameters())
    looked_up = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Embedding))
    _state.update(graph=info, flops_per_token=flops_per_token, params=params, active_params=params - looked_up)
    written = sum(math.prod(weight.shape) * getattr(torch, weight.dtype).itemsize for weight in info.weights)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    protocol.say("mark")
    budget_s = float(protocol.wait("grant")["budget_s"])
    if "loader" in _state:
        _state["loader"].reset()
    _state["clock"] = Clock(budget_s, device(), reserve_s=max(0.0, written / WRITE_BYTES_PER_S - WRITE_FREE_S))
    return _state["clock"]


def finish(model: nn.Module) -> None:
    """Write the weights that the graph names and the claims, and say `done`."""
    if "clock" not in _state:
        raise RuntimeError("run.finish(model) before run.start(model)")
    clock: Clock = _state["clock"]
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    trained_s = clock.elapsed
    out = protocol.folder("out")
    graph.save_weights(_plain(model), _state["graph"], out)
    (out / "claims.json.part").write_text(json.dumps({"observables": _observables(clock, trained_s), "curve": clock.curve}))
    (out / "claims.json.part").rename(out / "claims.json")
    _state["finished"] = True
    protocol.say("done")


def finished() -> bool:
    """Whether the asset has handed over its weights."""
    return bool(_state.get("finished"))


def _plain(model: nn.Module) -> nn.Module:
    """The model as the evaluator shall see it."""
    return model.export_model() if hasattr(model, "export_model") else model


def _observables(clock: Clock, trained_s: float) -> dict[str, float | None]:
    rate = clock.tokens / trained_s
    flops, peak, loader = _state["flops_per_token"], profile().get("peak_flops"), _state.get("loader")
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated()
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "steps": clock.steps,
        "tokens": clock.tokens,
        "tokens_per_s": rate,
        "step_s": clock.step_s,
        "mfu": flops * rate / peak if flops and peak else None,
        "data_share": loader.wait_s / trained_s if loader else None,
        "epochs": loader.epochs if loader else None,
        "active_params": _state["active_params"],
        "params": _state["params"],
        "peak_memory_bytes": memory,
        "train_s": trained_s,
    }
