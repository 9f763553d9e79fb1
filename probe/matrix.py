"""Rates of matrix products per dtype: fixed shapes, then a coarse search around the best; the winner is measured again by a fresh process.

The best of N is biased upward, so only what the second process measures is reported. Normal random data: zeros run 15 % faster on some
boards. Nothing is timed before the largest shape has warmed the device.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import torch
from timing import CpuTimer, CudaTimer

Shape = tuple[int, int, int]

CUDA_SHAPES: list[Shape] = [
    (4096, 4096, 4096),
    (8192, 8192, 8192),
    (2048, 2048, 2048),
    (16384, 16384, 16384),
    (2048, 2048, 13312),
    (1024, 15360, 4096),
    (1024, 10240, 5120),
    (6912, 16384, 2048),
    (65536, 1024, 4096),
    (16384, 4096, 16384),
]
"""M, K, N. Squares, shapes of a transformer's layers, and shapes at which published figures were reached."""

CPU_SHAPES: list[Shape] = [(1024, 1024, 1024), (512, 512, 512), (2048, 512, 1024), (4096, 256, 1024), (1024, 2048, 1024)]
"""Milliseconds each: a long product never escapes the other work of a shared machine."""

FACTORS = (0.5, 0.75, 1.5, 2.0)
"""The coarse search stretches one side of the best shape at a time."""

LARGEST_ELEMENTS = {"cuda": 1 << 29, "cpu": 1 << 22}
"""Of one matrix in a search."""


def dtypes(kind: str) -> list[str]:
    """What this device multiplies in hardware. Never float16 on a CPU (about 1 GFLOP/s)."""
    if kind == "cpu":
        from phases import fast_bf16

        return ["bfloat16", "float32"] if fast_bf16() else ["float32"]
    capability = torch.cuda.get_device_capability(0)
    names = ["float16", "float32"]
    if capability >= (8, 0):
        names = ["bfloat16", "float16", "tf32", "float32"]
    if capability >= (8, 9) and hasattr(torch, "_scaled_mm"):
        names.append("float8_e4m3")
    return names


def product(kind: str, dtype: str, shape: Shape) -> tuple[Callable[[], object], Callable[[], object]]:
    """(one product M×K · K×N into a fixed output, what rewrites that output)."""
    m, k, n = shape
    if dtype == "float8_e4m3":
        a = torch.randn(m, k, device=kind, dtype=torch.bfloat16).to(torch.float8_e4m3fn)
        b = torch.randn(n, k, device=kind, dtype=torch.bfloat16).to(torch.float8_e4m3fn).t()
        one = torch.ones((), device=kind)
        return (lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)), (lambda: None)
    if kind == "cuda":
        _float32_precision("tf32" if dtype == "tf32" else "ieee")
    held = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    a, b = torch.randn(m, k, device=kind, dtype=held), torch.randn(k, n, device=kind, dtype=held)
    out = torch.empty(m, n, device=kind, dtype=held)
    return (lambda: torch.mm(a, b, out=out)), (lambda: out.normal_())


def search(kind: str, mode: str) -> dict:
    """Best shapes per dtype: `winners` {dtype: [shape, …]} best first, and notes on what could not be timed."""
    timer = CudaTimer() if kind == "cuda" else CpuTimer()
    limit = {("cuda", "quick"): 0.15, ("cuda", "full"): 0.4, ("cpu", "quick"): 0.15}.get((kind, mode), 0.4)
    lead_s, rest_s = {("cuda", "quick"): (4.0, 1.5), ("cuda", "full"): (18.0, 7.0), ("cpu", "quick"): (2.5, 2.5)}.get(
        (kind, mode), (15.0, 15.0)
    )
    longest_s = 0.1 if mode == "quick" else 0.3
    winners: dict[str, list[Shape]] = {}
    notes: list[str] = []
    shapes = CUDA_SHAPES if kind == "cuda" else CPU_SHAPES
    for position, dtype in enumerate(dtypes(kind)):
        budget_s = rest_s if position else lead_s
        rates: dict[Shape, float] = {}
        reasons: list[str] = []
        begin = time.perf_counter()

        def attempt(shape: Shape, dtype: str = dtype, rates: dict = rates, reasons: list = reasons) -> None:
            if shape in rates or max(shape[0] * shape[1], shape[1] * shape[2], shape[0] * shape[2]) > LARGEST_ELEMENTS[kind]:
                return
            flop = 2.0 * shape[0] * shape[1] * shape[2]
            if kind == "cuda" and rates and flop / max(rates.values()) > longest_s:
                return
            try:
                run, _ = product(kind, dtype, shape)
                rates[shape] = flop / timer.rate(run, limit)
            except (RuntimeError, AttributeError, TypeError) as error:
                reasons.append(str(error).splitlines()[0][:160])

        _warm(kind, dtype, shapes, timer)
        for shape in shapes:
            attempt(shape)
        while rates and time.perf_counter() - begin < budget_s:
            best = max(rates, key=rates.__getitem__)
            near = [stretched for side in range(3) for factor in FACTORS if (stretched := _stretch(best, side, factor)) not in rates]
            for shape in near:
                if time.perf_counter() - begin < budget_s:
                    attempt(shape)
            if max(rates, key=rates.__getitem__) == best:
                break
        if rates:
            ranked = sorted(rates, key=rates.__getitem__, reverse=True)
            winners[dtype] = ranked[:4]
            print(f"{dtype}: {rates[ranked[0]] / 1e12:.4g} TFLOP/s at {ranked[0]} over {len(rates)} shapes", flush=True)
        else:
            notes.append(f"matrix {dtype}: cannot be measured: {reasons[0] if reasons else 'no shape fits'}")
    if not winners:
        raise SystemExit("no matrix product could be timed: " + "; ".join(notes))
    return {"winners": winners, "notes": notes}


def confirm(kind: str, mode: str, winners: dict[str, list]) -> dict:
    """The winner of each dtype again: raw samples, a sustained rate, and the published table's statistic for bfloat16."""
    timer = CudaTimer() if kind == "cuda" else CpuTimer()
    limit_s = {("cuda", "quick"): 1.0, ("cuda", "full"): 6.0, ("cpu", "quick"): 2.0}.get((kind, mode), 8.0)
    sustained_s = {("cuda", "quick"): 3.0, ("cuda", "full"): 60.0, ("cpu", "quick"): 1.5}.get((kind, mode), 60.0)
    rows, notes, disturbed = [], [], False
    mamf = None
    for dtype, ranked in winners.items():
        shape = tuple(ranked[0])
        _warm(kind, dtype, CUDA_SHAPES if kind == "cuda" else CPU_SHAPES, timer)
        run, _ = product(kind, dtype, shape)
        samples, others = timer.collect(run, limit_s, flush=kind == "cuda")
        disturbed |= others
        flop = 2.0 * shape[0] * shape[1] * shape[2]
        lead = next(iter(winners)) == dtype
        length = sustained_s if lead else min(sustained_s, 5.0) if mode == "full" else 0.0
        sustained = flop * timer.sustain(run, length) if length else None
        if others:
            notes.append(f"matrix {dtype}: most samples shared the cores with other work")
        rows.append({"dtype": dtype, "shape": shape, "samples": samples, "sustained_flops": sustained, "sustained_s": length})
        fine = sorted(seconds for _, seconds, good in samples if good) or [samples[0][1]]
        print(f"{dtype}: {flop / fine[len(fine) // 2] / 1e12:.4g} TFLOP/s at {shape}, {len(fine)} of {len(samples)} samples", flush=True)
        if dtype == "bfloat16" and (kind == "cuda" or mode == "full"):
            mamf = _mamf(kind, timer, [tuple(other) for other in ranked])
    if mamf is None:
        notes.append("mamf_v2: not measured (needs bfloat16, and --full on a CPU)")
    return {"matrix": rows, "mamf_v2": mamf, "notes": notes, "disturbed": disturbed}


def _mamf(kind: str, timer: CudaTimer | CpuTimer, shapes: list[Shape]) -> dict | None:
    """The best mean of 100 products after 50, cache flushed and output rewritten before each, over the search's best shapes."""
    best: tuple[float, dict] | None = None
    for shape in shapes[: 4 if kind == "cuda" else 1]:
        run, rewrite = product(kind, "bfloat16", shape)
        samples = timer.series(run, 50, 100, rewrite)
        rate = 2.0 * shape[0] * shape[1] * shape[2] * len(samples) / sum(seconds for _, seconds, _ in samples)
        if best is None or rate > best[0]:
            best = (rate, {"shape": shape, "samples": samples})
    return best[1] if best else None


def _warm(kind: str, dtype: str, shapes: list[Shape], timer: CudaTimer | CpuTimer) -> None:
    """The largest shape first, so that nothing is timed on a cold device."""
    largest = max((shape for shape in shapes if max(shape) <= 8192), key=lambda shape: shape[0] * shape[1] * shape[2])
    with suppress(RuntimeError, AttributeError, TypeError):
        run, _ = product(kind, dtype, largest)
        begin = time.perf_counter()
        while time.perf_counter() - begin < (1.0 if kind == "cuda" else 0.3):
            run()
            timer.wait()


def _stretch(shape: Shape, side: int, factor: float) -> Shape:
    """One side times the factor, a multiple of 128."""
    sides = list(shape)
    sides[side] = max(128, round(sides[side] * factor / 128) * 128)
    return (sides[0], sides[1], sides[2])


def _float32_precision(name: str) -> None:
    """`tf32` or `ieee`, by whichever interface this torch has."""
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        torch.backends.cuda.matmul.fp32_precision = name
    else:
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
