"""`make bench-profile`: does the probe measure the same thing twice, and what a plain program measures?

Three `--quick` measurements in a row through the sandbox, each followed by an independent one: a dozen lines of plain torch in the same
image that share no code with the probe. Matrix rate and copy bandwidth; the latter is on a CPU, here and there, the least of several looks,
each the best of its copies. The last line is JSON: `repeatability`, (largest − smallest) / median of the three; `against_independent`,
|probe / plain − 1| of the medians, each the worse of the two figures; `seconds`, the median of one `--quick`. Exit 1 where 0.05, 0.10 or
60 s is exceeded. Run it on an idle machine: what others take, it cannot give back.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from appliance import hardware, profiles, sandbox
from appliance.records import ArtifactFile, Device, Limits
from appliance.workflows.measure import measure
from appliance.workflows.place import open_place
from appliance.workflows.progress import Silent

ROUNDS = 3
LIMITS = {"repeatability": 0.05, "against_independent": 0.10, "seconds": 60.0}

PLAIN = """
import json, os, pathlib, time, torch
p = json.loads(os.environ["APPLIANCE_PARAMS"])
cuda = torch.cuda.is_available()
device = "cuda" if cuda else "cpu"
def rate(work, step, seconds, which):
    times, end = [], time.perf_counter() + seconds
    for i in range(5):
        step()
    while time.perf_counter() < end or len(times) < 10:
        if cuda: torch.cuda.synchronize()
        t = time.perf_counter(); step()
        if cuda: torch.cuda.synchronize()
        times.append(time.perf_counter() - t)
    return work / which(sorted(times))
m, k, n = p["shape"]
dtype = getattr(torch, p["dtype"])
a, b = torch.randn(m, k).to(device, dtype), torch.randn(k, n).to(device, dtype)
matrix = rate(2 * m * k * n, lambda: a @ b, 2.0, lambda times: times[len(times) // 4])
x = torch.rand(64 << 20, device=device); y = torch.empty_like(x)
copy = min(rate(2 * 4 * x.numel(), lambda: y.copy_(x), 2.0, min) for _ in range(1 if cuda else 12))
(pathlib.Path(os.environ["APPLIANCE_OUT"]) / "measurement.json").write_text(json.dumps({"matrix": matrix, "copy": copy}))
print("\\n::appliance", os.environ["APPLIANCE_NONCE"], "done", flush=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--device", default=None)
    chosen = parser.parse_args()
    device = hardware.choose(hardware.detect(), chosen.device)
    place, versions = open_place(chosen.sandbox, device, Silent())  # type: ignore[arg-type]
    ours: dict[str, list[float]] = {"matrix": [], "copy": []}
    plain: dict[str, list[float]] = {"matrix": [], "copy": []}
    seconds: list[float] = []
    dropped = 0
    with tempfile.TemporaryDirectory(prefix="bench-profile-") as name:
        for i in range(ROUNDS):
            begin = time.perf_counter()
            made = profiles.read_measurement(_measure(device, place, versions, Path(name) / f"state{i}"))
            seconds.append(time.perf_counter() - begin)
            best = made.matrix[0]
            ours["matrix"].append(best.flops)
            ours["copy"].append(made.copy_bytes_per_s or float("nan"))
            dropped += sum(made.dropped_samples.values())
            other = _plain(device, place, Path(name) / f"plain{i}", {"shape": best.shape, "dtype": best.dtype})
            for figure in plain:
                plain[figure].append(other[figure])
            print(
                f"{i + 1}: {best.dtype} {best.flops / 1e12:.4g} TFLOP/s (plain {other['matrix'] / 1e12:.4g}), copy "
                f"{ours['copy'][-1] / 1e9:.4g} GB/s (plain {other['copy'] / 1e9:.4g}), {seconds[-1]:.1f} s",
                flush=True,
            )
    result = {
        "repeatability": max((max(values) - min(values)) / statistics.median(values) for values in ours.values()),
        "against_independent": max(abs(statistics.median(ours[key]) / statistics.median(plain[key]) - 1) for key in ours),
        "seconds": statistics.median(seconds),
    }
    broken = [key for key, limit in LIMITS.items() if not result[key] <= limit]
    if broken:
        print(f"beyond its limit: {', '.join(broken)} ({dropped} samples were disturbed by other work)", flush=True)
    print(json.dumps({**{key: round(value, 4) for key, value in result.items()}, "disturbed_samples": dropped}))
    return 1 if broken else 0


def _measure(device: Device, place: sandbox.Sandbox, versions: dict[str, str], state: Path) -> Path:
    """One `--quick` measurement, kept out of this machine's own profiles."""
    before = profiles.own_root()
    stored = measure(device, place, dict(versions), "quick", lambda line: None)
    kept = state / stored.relative_to(before)
    kept.parent.mkdir(parents=True)
    shutil.move(stored, kept)
    return kept


def _plain(device: Device, place: sandbox.Sandbox, folder: Path, params: dict[str, object]) -> dict[str, float]:
    task, out = folder / "task", folder / "out"
    task.mkdir(parents=True)
    out.mkdir()
    (task / "plain.py").write_text(PLAIN)
    for path in (folder.parent, folder, task):
        path.chmod(0o755)
    spec = sandbox.Spec(
        command=("python3", "-P", "{task}/plain.py"),
        folders={"TASK": task},
        device=device,
        limits=Limits(pids=512),
        params=params,
        timeout_s=120.0,
        collect=(ArtifactFile(name="measurement.json", at="end", max_bytes=1 << 16),),
        labels={"probe": "plain"},
    )
    with place.create(spec) as box:
        box.release()
        result = box.run(out)
    if not (out / "measurement.json").is_file():
        raise SystemExit(f"the plain measurement failed: {result.log_tail[-400:]}")
    measured: dict[str, float] = json.loads((out / "measurement.json").read_text())
    return measured


if __name__ == "__main__":
    sys.exit(main())
