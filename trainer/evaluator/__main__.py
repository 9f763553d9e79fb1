"""Score an artifact: `python -P <task>/evaluator/__main__.py`. Reads the split, waits for its turn, reads the artifact, writes score.json.

Nothing of the asset runs here, only operations off the allowlist, in a sandbox without network. Whatever goes wrong with the artifact is a
`valid: false` with its reason; what goes wrong with the split or with this program is an exit code.
"""

import json
import math
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# Before torch loads OpenMP: threads that spin at every barrier multiply the time of a score where others want the cores too.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import graph_format
import numpy as np
import proof as proving
import split
import torch
from dependence import prove_causal
from program import Program, warm

DEFAULT_SMALLEST_EFFECT = 0.005
"""Bits per byte; the task's own where the parameters do not say."""
GRAPH_MEMORY_SHARE = 0.9
DTYPES = {name: getattr(torch, dtype) for name, (dtype, _) in graph_format.SAFETENSORS.items()}


def main() -> int:
    """Score and say `done`."""
    params = json.loads(os.environ.get("APPLIANCE_PARAMS") or "{}")
    streams = split.read(Path(os.environ["APPLIANCE_DATA"]), int(params["evaluation_bytes"]))
    warm()
    _say("ready")
    while not (Path(os.environ["APPLIANCE_CONTROL"]) / "release").exists():  # until then there is no artifact, and the device is another's
        time.sleep(0.005)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # Convolutions by Winograd or Fourier transform mix neighbours in their rounding: what the operation does not read, the kernel would.
    torch.backends.cudnn.enabled = False
    torch.backends.nnpack.set_flags(False)
    try:
        result = evaluate(Path(os.environ["APPLIANCE_ARTIFACT"]), streams, params, device)
    except proving.Rejected as rejected:
        result = rejection(rejected.reason, rejected.detail)
    except graph_format.FormatError as error:
        result = rejection("artifact_not_allowed", str(error))
    except torch.OutOfMemoryError as error:
        result = rejection("out_of_memory", str(error))
    except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError, MemoryError) as error:
        result = rejection("evaluation_failed", f"{type(error).__name__}: {error}")
    out = Path(os.environ["APPLIANCE_OUT"])
    part = out / ".score.json.part"
    part.write_text(json.dumps(result, allow_nan=False))
    part.rename(out / "score.json")
    if not result["valid"]:
        print(result["detail"], file=sys.stderr)
    _say("done")
    return 0


def _say(word: str) -> None:
    os.write(1, f"\n::appliance {os.environ.get('APPLIANCE_NONCE', '-')} {word}\n".encode())


def rejection(reason: str, detail: str) -> dict[str, Any]:
    """score.json of an artifact without a score."""
    line = " ".join(detail.split()).encode("ascii", "backslashreplace").decode()[:400]
    return {"valid": False, "reason": reason, "detail": line, "scores": [], "proof": {}}


def evaluate(folder: Path, streams: dict[int, split.Stream], params: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """score.json of the artifact in `folder`.

    Raises:
        FormatError, Rejected: it gets no score.
        RuntimeError and kin: an operation failed on this device.
    """
    started = time.perf_counter()
    graph, weights = load(folder, device)
    program = Program(graph, weights, device)
    shape, dtype, dtypes = program.measure(int(available_memory(device) * GRAPH_MEMORY_SHARE))
    if len(shape) != 3 or shape[:2] != (graph.batch, graph.length) or not dtype.is_floating_point:
        raise proving.Rejected("wrong_shape", f"the graph gives {dtype} {list(shape)} instead of logits [{graph.batch}, {graph.length}, V]")
    stream = streams.get(shape[2])
    if stream is None:
        raise proving.Rejected("wrong_shape", f"there is no vocabulary of {shape[2]}; there are {', '.join(map(str, sorted(streams)))}")
    windows = split.windows(stream, graph.length)
    sizes = np.where(windows.scored, stream.token_bytes[windows.targets], 0).astype(np.int64)
    legacy = np.where(windows.scored, stream.legacy_bytes[windows.targets], 0).astype(np.int64)
    if not sizes.sum():
        raise ValueError("the split holds nothing to score")
    watch = prove_causal(program)
    name, tolerance = proving.tolerance_bits(dtypes)
    proof = proving.Proof(
        method="sampling" if watch is None else "dependence",
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        dtype=name,
        tolerance_bits=tolerance,
        smallest_effect=float(params.get("smallest_effect", DEFAULT_SMALLEST_EFFECT)),
    )
    scorer = proving.Scorer(program, shape[2], windows, proof, float(sizes.sum() / windows.scored.sum()), watch)
    built_s = time.perf_counter() - started
    bits = np.where(windows.scored, scorer.score(), 0).astype(np.float64)
    try:
        scorer.prove(int(params.get("proof_passes", 128)), float(params.get("proof_seconds", 200.0)))
    except proving.Rejected as rejected:
        return {**rejection(rejected.reason, rejected.detail), "proof": {**proof.as_json(), "build_s": built_s}}
    score: dict[str, Any] = {
        "split": str(params.get("split", "val")),
        "score": float(bits.sum() / sizes.sum()),
        "score_legacy": float(bits.sum() / legacy.sum()) if legacy.sum() else None,
        "bytes": int(sizes.sum()),
        "observables": {"forward_flops_per_token": program.product_flops() / (graph.batch * graph.length)},
    }
    if params.get("per_document"):
        count = int(windows.document.max()) + 1
        per_bits = np.bincount(windows.document.reshape(-1), bits.reshape(-1), count)
        per_bytes = np.bincount(windows.document.reshape(-1), sizes.reshape(-1), count)
        score["documents"] = [[float(b), int(n)] for b, n in zip(per_bits, per_bytes, strict=True) if n]
    if not math.isfinite(score["score"]):
        raise proving.Rejected("not_finite", "the score is not finite")
    return {"valid": True, "reason": None, "scores": [score], "proof": {**proof.as_json(), "build_s": built_s}}


def load(folder: Path, device: torch.device) -> tuple[graph_format.Graph, list[torch.Tensor]]:
    """The checked graph and its weights in the graph's order, on `device`.

    Raises:
        FormatError: the artifact is not allowed (the host has refused it before, unless it was changed).
    """
    with _open(folder / graph_format.GRAPH_FILE) as file:
        graph = graph_format.parse(file.read(graph_format.MAX_GRAPH_BYTES + 1))
    weights = []
    with _open(folder / graph_format.WEIGHTS_FILE) as file:
        spans = graph_format.check_weights(file, os.fstat(file.fileno()).st_size, graph)
        kinds = {dtype: name for name, (dtype, _) in graph_format.SAFETENSORS.items()}
        for weight in graph.weights:
            begin, end = spans[weight.name]
            file.seek(begin)
            data = torch.frombuffer(bytearray(file.read(end - begin)), dtype=DTYPES[kinds[weight.dtype]]) if end > begin else torch.empty(0)
            weights.append(
                data.to(device).reshape(weight.shape)
                if end > begin
                else torch.empty(weight.shape, dtype=DTYPES[kinds[weight.dtype]], device=device)
            )
    return graph, weights


def _open(path: Path) -> Any:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise graph_format.FormatError(f"{path.name} cannot be opened: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise graph_format.FormatError(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


def available_memory(device: torch.device) -> int:
    """Bytes that a graph may fill on `device`."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0]
    files = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    texts = [file.read_text().strip() for file in files if file.is_file()]
    limits = [int(text) for text in texts if text.isdigit()]
    meminfo = Path("/proc/meminfo").read_text().splitlines()
    limits += [int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable:")]
    return min(limits)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
