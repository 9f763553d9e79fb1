"""Which attention backends are tried at which cases, and what becomes of a child that dies. No torch here.

A row of the result is one (backend, head dim, window). It is accepted when every correctness check of that head dim and window passed and
the timing ran, forward and backward.
"""

import importlib.util
import time
from collections.abc import Callable

import children

SDPA = ("sdpa_flash", "sdpa_efficient", "sdpa_cudnn", "sdpa_math")
PACKAGES = {"flash_attn_2": "flash_attn", "flash_attn_3": "flash_attn_interface", "flash_attn_4": "flash_attn.cute"}
"""Backends that come in a package of their own."""

HEAD_DIMS = (64, 128, 256)
TOTAL_S = {"quick": 60.0, "full": 120.0}
"""For all cases of one backend, compiling included; a hang must not hold up the rest."""


def backends() -> list[str]:
    """Every backend that is tried; an absent package is a rejection with that reason."""
    return [*SDPA, "flex_attention", "varlen_attn", *PACKAGES]


def cases(device: str, mode: str) -> list[dict]:
    """(head dim, window) with the sizes at which it is timed. B rows, T tokens, H heads."""
    if device == "cuda":
        window, rows = 512, [(64, 16), (128, 8), (256, 4)][: 3 if mode == "full" else 2]
        return [
            {"head_dim": d, "window": w, "batch": 8 if mode == "full" else 4, "tokens": 2048, "heads": h}
            for d, h in rows
            for w in (None, window)
        ]
    dims = HEAD_DIMS if mode == "full" else (64, 128)
    return [{"head_dim": d, "window": w, "batch": 4, "tokens": 256, "heads": 256 // d} for d in dims for w in (None, 64)]


def judge(serve: children.Serve, backend: str, common: dict, progress: Callable[[str], None]) -> list[dict]:
    """One result per case of one backend. A child that dies in a case rejects that case and is started again at the next."""
    todo = cases(common["device"], common["mode"])
    missing = _missing(backend)
    if backend == "flex_attention" and (common["device"], common["mode"]) == ("cuda", "quick"):
        missing = "not tried: compiling it takes longer than a quick measurement; measure with --full"
    if missing:
        return [_rejected(backend, case, common, missing) for case in todo]
    results: list[dict] = []
    end = time.monotonic() + TOTAL_S[common["mode"]]
    while todo:
        done = 0
        limit_s = end - time.monotonic()
        if limit_s < 1.0:
            return [*results, *(_rejected(backend, case, common, "not tried: the time for this backend is over") for case in todo)]
        try:
            for result in children.stream(serve, "attention", {**common, "backend": backend, "cases": todo}, progress, limit_s):
                results.append(result)
                done += 1
        except children.DiedError as error:
            if done < len(todo):
                results.append(_rejected(backend, todo[done], common, str(error)))
            todo = todo[done + 1 :]
            continue
        results += [_rejected(backend, case, common, "the process ended without an answer") for case in todo[done:]]
        break
    return results


def summary(results: list[dict]) -> list[str]:
    """One line per case for people."""
    lines = []
    for head_dim, window in sorted({(r["head_dim"], r["window"]) for r in results}, key=lambda case: (case[0], case[1] or 0)):
        here = [r for r in results if (r["head_dim"], r["window"]) == (head_dim, window)]
        timed = sorted((r["forward_s"] + r["backward_s"], r["backend"]) for r in here if r["accepted"])
        told = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for seconds, name in timed) or "none accepted"
        lines.append(f"head dim {head_dim}, {f'window {window}' if window else 'causal'}: {told}")
    return lines


def _missing(backend: str) -> str | None:
    package = PACKAGES.get(backend)
    if package is None:
        return None
    try:
        found = importlib.util.find_spec(package) is not None
    except ImportError:
        found = False
    return None if found else f"package {package} is not in the image"


def _rejected(backend: str, case: dict, common: dict, reason: str) -> dict:
    return {
        "backend": backend,
        "head_dim": case["head_dim"],
        "window": case["window"],
        "dtype": common["dtype"],
        "accepted": False,
        "reason": reason,
        "forward_s": None,
        "backward_s": None,
    }
