"""What a configuration of the trainer will cost, before anything runs: a roofline with an overhead per operation.

JSON on stdin `{"profile", "params", "budget_s", "constants": [{…}, …]}`, JSON on stdout `[{"seconds", "memory_bytes", "observables":
{…}}, …]`; `seconds` are those of one optimiser step. Standard library only: it runs on the host.

A step is the sum of its parts: matrix products at the profile's matrix rate times an efficiency that falls with small widths, everything
elementwise at the profile's bandwidth, the optimisers, and a fixed cost per operation that a small model cannot hide. The coefficients are
fits to measured steps of `train.py` (see FITTED); where the profile does not know a rate, no time is predicted.
"""

import json
import math
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Coefficients:
    """How far a kind of device stays below its profile."""

    matrix_efficiency: float
    """Of the matrix rate, at a width where products are efficient."""
    half_width: float
    """Width at which products reach half of that."""
    stream_bytes: float
    """Per channel, token and layer, forward and backward: the bandwidth's worth of everything elementwise."""
    logit_bytes: float
    """Per logit, forward and backward, likewise."""
    operation_s: float
    """Of one operation that does almost nothing; used where the profile has no `launch_overhead_s`."""
    step_s: float
    """Fixed cost of an optimiser step."""
    base_bytes: float
    """Memory of the process before the model."""


FITTED = {
    # 14 configurations, 0.2 to 13 million parameters, steps of 12 ms to 1.5 s, on one core of an EPYC with AVX512-BF16 (2.0e11 FLOP/s,
    # 2.1e10 bytes/s): ranks all of them rightly, median error 5 %. Elementwise work is far from the bandwidth of memory there.
    "cpu": Coefficients(
        matrix_efficiency=0.86, half_width=8.0, stream_bytes=249.0, logit_bytes=365.0, operation_s=3e-6, step_s=4e-3, base_bytes=4.0e8
    ),
    # Not fitted: what a compiled model of this size is known to reach.
    "cuda": Coefficients(
        matrix_efficiency=0.60, half_width=192.0, stream_bytes=24.0, logit_bytes=16.0, operation_s=6e-6, step_s=5e-4, base_bytes=1.0e9
    ),
}

UNCAPPED = 0.7
"""Share of the work per logit that is left without the soft cap."""

OPERATIONS_PER_LAYER = 110
"""Kernels of one layer, forward and backward."""

ELEMENT_BYTES = 2
"""bfloat16."""


def number(constants: dict[str, Any], name: str, default: float) -> float:
    """A numeric constant; the asset's default where a proposal removed it."""
    value = constants.get(name, default)
    return float(value) if isinstance(value, (int, float)) else default


def estimate(constants: dict[str, Any], profile: dict[str, Any], budget_s: float) -> dict[str, Any]:
    """Predicted cost of one configuration; `{}` parts are left out where the profile lacks what they need."""
    depth = max(1.0, number(constants, "DEPTH", 8))
    width = max(1.0, number(constants, "WIDTH", 512))
    head_dim = number(constants, "HEAD_DIM", 128)
    inner = max(1, round(width / head_dim)) * head_dim
    gated = constants.get("ACTIVATION") == "swiglu"
    hidden = width * number(constants, "MLP_RATIO", 4) * (2 / 3 if gated else 1)
    vocabulary = number(constants, "VOCAB_SIZE", 8192)
    length = number(constants, "SEQUENCE_LENGTH", 2048)
    batch = number(constants, "BATCH_TOKENS", 524288)
    rows = max(1, min(int(number(constants, "MICRO_BATCH", 64)), int(batch // length)))
    micro_tokens = rows * length
    micro_steps = max(1, round(batch / micro_tokens))
    tokens = micro_tokens * micro_steps

    layer = 4 * width * inner + (3 if gated else 2) * width * hidden
    matrices = depth * layer + vocabulary * width
    tables = vocabulary * width + (math.ceil(depth / 2) * vocabulary * inner if constants.get("VALUE_EMBEDDINGS") else 0)
    params = matrices + tables + 2 * depth
    seen = _seen(constants, int(depth), length)
    flops_per_token = 6 * matrices + 12 * inner * seen

    kind = "cuda" if profile.get("device_kind") == "cuda" else "cpu"
    fit = FITTED[kind]
    held = 4 * (3 * depth * layer + 4 * (params - depth * layer))
    activations = micro_tokens * (depth * (18 * width + 8 * inner + 4 * hidden) * ELEMENT_BYTES + 14 * vocabulary)
    result: dict[str, Any] = {
        "memory_bytes": round(fit.base_bytes + held + activations),
        "observables": {"params": round(params), "active_params": round(matrices)},
    }

    peak, bandwidth = profile.get("peak_flops"), profile.get("bandwidth_bytes_per_s")
    if not peak:
        return result
    bandwidth = bandwidth or peak / 30
    overhead = (profile.get("measurement") or {}).get("launch_overhead_s") or fit.operation_s
    rate = peak * fit.matrix_efficiency * width / (width + fit.half_width)
    attention = 12 * inner * seen / rate
    matrix_s = tokens * (6 * matrices / rate + attention)
    capped = 1.0 if number(constants, "LOGIT_CAP", 15) else UNCAPPED
    moved = depth * (width + inner + hidden / 4) * fit.stream_bytes + vocabulary * capped * fit.logit_bytes
    stream_s = tokens * moved / bandwidth
    iterations = number(constants, "NEWTON_SCHULZ_STEPS", 5)
    short = min(width, hidden)
    square = 6 * inner * width * min(inner, width)
    oblong = 4 * short * short * max(width, hidden) + 2 * short**3
    orthogonal = iterations * depth * (4 * square + (3 if gated else 2) * oblong)
    optimiser_s = orthogonal / rate + 40 * params / bandwidth
    operations = micro_steps * (depth * OPERATIONS_PER_LAYER + 60) + 60 * iterations
    step_s = matrix_s + stream_s + optimiser_s + operations * overhead + fit.step_s
    steps = max(1, math.floor(budget_s / step_s))
    throughput = tokens / step_s
    result["seconds"] = step_s
    result["observables"] |= {
        "steps": steps,
        "tokens": round(steps * tokens),
        "tokens_per_s": throughput,
        "step_s": step_s,
        "mfu": flops_per_token * throughput / peak,
        "peak_memory_bytes": result["memory_bytes"],
    }
    return result


def _seen(constants: dict[str, Any], depth: int, length: float) -> float:
    """Tokens that all layers together let one query see, at most."""
    pattern = str(constants.get("WINDOW_PATTERN") or "L")
    short = min(number(constants, "SHORT_WINDOW", 1024), length)
    return sum(short if pattern[i % len(pattern)] == "S" and i < depth - 1 else length for i in range(depth))


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    profile, budget_s = request["profile"], float(request["budget_s"])
    json.dump([estimate(constants, profile, budget_s) for constants in request["constants"]], sys.stdout)


if __name__ == "__main__":
    main()
