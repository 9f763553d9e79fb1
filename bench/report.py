"""How long a report and a site take, and how large a page is.

    python bench/report.py [--nights 200] [--experiments 40]

Nights are synthetic and made before the clock starts. A site's second pass finds nothing new: it reads index.json and writes no page.
Limits: a page of 150 experiments in 1 s and 300 KiB, of 1,000 in 3 s and 2,048 KiB; a site of 200 nights in 10 s, again in 1 s.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "report"))

import report_nights

from appliance import report
from appliance.records import Night

LIMITS = {"s_150": 1.0, "kib_150": 300.0, "s_1000": 3.0, "kib_1000": 2048.0, "site_s": 10.0, "site_again_s": 1.0}


def rendered(night: Night, times: int = 3) -> tuple[float, float]:
    """Median seconds of one rendering, templates compiled, and KiB."""
    report.render(night)
    seconds, text = [], ""
    for _ in range(times):
        start = time.perf_counter()
        text = report.render(night)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), len(text.encode()) / 1024


def published(nights: list[Night]) -> tuple[float, float, float]:
    """Seconds of a site, first and again, and the processor seconds of the first pass: on a busy machine the two differ."""
    sources = [report.Source(n.plan.night_id, hashlib.sha256(n.plan.night_id.encode()).hexdigest(), lambda n=n: n) for n in nights]
    seconds, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            start, busy = time.perf_counter(), time.process_time()
            report.publish(Path(folder) / "site", sources)
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
    return seconds[0], seconds[1], processor[0]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nights", type=int, default=200)
    options.add_argument("--experiments", type=int, default=40, help="of each night of the site")
    asked = options.parse_args()
    found: dict[str, float] = {}
    found["s_150"], found["kib_150"] = rendered(report_nights.a_night(150))
    found["s_1000"], found["kib_1000"] = rendered(report_nights.a_night(1000))
    nights = [report_nights.a_night(asked.experiments, seed=seed) for seed in range(asked.nights)]
    found["site_s"], found["site_again_s"], processor = published(nights)
    print(f"{'':14}{'measured':>10}{'limit':>10}{'ratio':>8}")
    for name, limit in LIMITS.items():
        print(f"{name:14}{found[name]:10.3f}{limit:10.0f}{found[name] / limit:8.2f}")
    print(f"site: {asked.nights} nights of {asked.experiments} experiments, {processor:.1f} processor seconds the first time")
    print(json.dumps({name: round(found[name], 4) for name in LIMITS}))
    return 0 if all(found[name] <= limit for name, limit in LIMITS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
