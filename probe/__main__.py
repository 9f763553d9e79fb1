"""Measures the device: matrix rates, bandwidth, memory, attention backends. Writes `measurement.json` with raw samples and says `done`.

Started in the image as `python -P <this folder>` under docs/protocol.md; `APPLIANCE_PARAMS` holds `{"mode": "quick" | "full", "device":
"cuda" | "cpu"}`. Every phase runs in a process of its own, so that a crash in one names itself and spoils nothing else, and so that the
winner of a search is measured again by a process that has not seen the search. This one imports torch and never uses it: the others are
its forks.
"""

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import attention_plan
import children
import visits

BENCHMARK_VERSION = "2"
"""Raised when numbers stop being comparable with older ones."""

SEED = 20_240
"""Of all random data; it stands in every measurement."""


def main() -> int:
    """Run all phases. Exit code 1, with the reason on stderr, when there is nothing to measure with."""
    params = json.loads(os.environ.get("APPLIANCE_PARAMS") or "{}")
    mode, device = params.get("mode", "quick"), params.get("device", "auto")
    if mode not in ("quick", "full"):
        print(f"mode must be quick or full, not {mode!r}", file=sys.stderr)
        return 1
    out = Path(os.environ["APPLIANCE_OUT"])
    result = measure(mode, device)
    temporary = out / ".measurement.json"
    with temporary.open("w") as file:
        json.dump(result, file, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(out / "measurement.json")
    print(f"\n::appliance {os.environ.get('APPLIANCE_NONCE', '-')} done", flush=True)
    return 0


def measure(mode: str, device: str) -> dict:
    """The raw measurement: environment, samples per phase, attention results."""
    begin = time.monotonic()
    # One thread in this process: it only forks, and forking with threads is unsafe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from phases import serve
    except ImportError as error:
        raise children.PhaseError(f"torch cannot be imported in this image: {error}") from error
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    common = {"mode": mode, "device": device, "seed": SEED}
    notes = []

    def progress(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.1f} s] {text}", flush=True)

    progress(f"matrix products: search ({mode})")
    search = children.one(serve, "matrix_search", common, progress, timeout_s=120 if mode == "quick" else 240)
    environment = search["environment"]
    common["device"] = environment["kind"]
    notes += search["notes"]
    memory = visits.Visits(serve, common, progress)
    memory.visit()
    progress("matrix products: the winners again, in a fresh process")
    confirmed = children.one(
        serve, "matrix_confirm", {**common, "winners": search["winners"]}, progress, timeout_s=120 if mode == "quick" else 300
    )
    notes += confirmed["notes"]
    memory.visit()
    attention = []
    for backend in attention_plan.backends():
        progress(f"attention: {backend}")
        attention += attention_plan.judge(serve, backend, {**common, "dtype": environment["attention_dtype"]}, progress)
        memory.visit()
    for row in attention_plan.summary(attention):
        progress(row)
    moved = memory.result()
    notes += moved["notes"]
    seconds = time.monotonic() - begin
    progress("done")
    return {
        "benchmark_version": BENCHMARK_VERSION,
        "measured_at": started_at,
        "mode": mode,
        "seconds": round(seconds, 3),
        "environment": {
            **{key: None if value is None else str(value) for key, value in environment.items()},
            "python": platform.python_version(),
            "data_seed": str(SEED),
        },
        "matrix": confirmed["matrix"],
        "mamf_v2": confirmed["mamf_v2"],
        "bandwidth": moved["bandwidth"],
        "usable_memory_bytes": moved["usable_memory_bytes"],
        "launch_overhead_s": moved["launch_overhead_s"],
        "attention": attention,
        "disturbed": bool(confirmed["disturbed"] or moved["disturbed"]),
        "notes": notes,
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except children.PhaseError as error:
        print(f"probe: {error}", file=sys.stderr)
        sys.exit(1)
