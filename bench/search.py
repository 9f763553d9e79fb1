"""`make bench-search`: the built-in search beside Optuna's TPE, random and one-at-a-time hill climbing; same clock, same judge, many seeds.

    python bench/search.py [--seeds 200] [--hours 1] [--methods ours,tpe,random,climb] [--table bench/data/search_runs | --stand-in]
        [--kept FILE]

Nights are replayed on the recorded runs of `make bench-search-record`, by each of the surrogates of `recorded.py` (their errors are
printed), with the runs' own noise and duration; with `--stand-in` on the formula of `surrogate.py`. The score is the expected one of what
the judge has confirmed so far. The clock is that of the search: calibration counts, the confirmation at the end does not. Hundreds of seeds
take an hour of two cores; with `--kept FILE`, what was interrupted goes on. Real nights of `make bench-search-nights`, where there are any,
stand beside the replayed ones of their method, as a check.

Last line: JSON with `time_ratio`: time in which the median night of ours reaches what the best other method's median reaches at the end, as
a share of the whole time (null: never), and its 95 % bootstrap interval over seeds, on the surrogate that errs least; under `trees` the
same on the other; under `real` each real night's minutes and score, as far as the replay goes, and the range of 95 % of the replayed ones
then, by surrogate. Exit 1 where the time ratio is above 0.5.
"""

import argparse
import functools
import itertools
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import recorded
import search_nights
from numpy.typing import NDArray
from policies import POLICIES, Landscape, night
from search_nights import RealNight
from surrogate import Surrogate

from appliance import tasks
from appliance.errors import ApplianceError, UsageError
from appliance.report import charts

Paths = NDArray[np.float64]
"""Score after each run, a row a seed: [seeds, runs]."""
Kind = tuple[str, str]
"""Of a night: surrogate and method."""

MOST_TIME = 0.5
RESAMPLES = 2000
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "search.svg"
LABELS = {"ours": "built-in search", "tpe": "Optuna TPE", "random": "random", "climb": "hill climbing"}
LOOKS = {"ours": ("#0b6e4f", ""), "tpe": ("#b3541e", "7 4"), "random": ("#5b5b8c", "2 3"), "climb": ("#8c2f52", "9 3 2 3")}
"""Colour, and dashes for those who do not see it."""


@functools.cache
def landscape(table: Path | None, model: str) -> Landscape:
    """What stands for the machine; the formula without a table.

    Raises:
        UsageError: the table is missing, damaged or too short.
    """
    if table is None:
        return Surrogate()
    about = recorded.machine(table)
    return recorded.Recorded(recorded.read(table, tasks.load(about.task).task.constants), about, model)


def live(table: Path | None, kind: Kind, seed: int, runs: int) -> list[float]:
    """One night: the score after each run; the last one stands where the method had nothing left to try."""
    model, method = kind
    path = night(landscape(table, model), POLICIES[method](seed), seed, runs).path[:runs]
    return path + [path[-1]] * (runs - len(path))


def replay(table: Path | None, kinds: Sequence[Kind], seeds: int, runs: int, jobs: int, kept: Path | None = None) -> dict[Kind, Paths]:
    """All nights, on all cores; the seeds are the same for every method. Those in `kept` are not replayed again, new ones are added."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of the workers: each has one core
    known = _known(kept, runs)
    wanted = [(kind, seed) for seed, kind in itertools.product(range(seeds), kinds) if (kind, seed) not in known]
    with ExitStack() as stack:
        file = stack.enter_context(kept.open("a", encoding="utf-8")) if kept else None
        pool = stack.enter_context(ProcessPoolExecutor(jobs, mp_context=get_context("spawn")))
        nights = {pool.submit(live, table, kind, seed, runs): (kind, seed) for kind, seed in wanted}
        for done in as_completed(nights):
            kind, seed = nights[done]
            known[kind, seed] = done.result()
            if file:
                print(json.dumps({"model": kind[0], "method": kind[1], "seed": seed, "path": done.result()}), file=file, flush=True)
    return {kind: np.array([known[kind, seed] for seed in range(seeds)]) for kind in kinds}


def _known(kept: Path | None, runs: int) -> dict[tuple[Kind, int], list[float]]:
    """Kind and seed → path of the nights in a file.

    Raises:
        UsageError: not such a file, or of nights of another length.
    """
    if kept is None or not kept.exists():
        return {}
    try:
        rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        known = {((row["model"], row["method"]), row["seed"]): row["path"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{kept} holds no replayed nights ({error}): name another file") from error
    if any(len(path) != runs for path in known.values()):
        raise UsageError(f"{kept} holds nights that are not of {runs} runs: name another file")
    return known


def time_ratio(ours: Paths, others: Sequence[Paths]) -> float:
    """Share of the whole time after which the median of ours is where the best median of the others ends; inf where it never is."""
    target = min(float(np.median(other[:, -1])) for other in others)
    reached = np.flatnonzero(np.median(ours, axis=0) <= target)
    return float(reached[0] + 1) / ours.shape[1] if len(reached) else math.inf


def interval(ours: Paths, others: Sequence[Paths], resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % percentile bootstrap of `time_ratio` over the seeds, each method's nights resampled on their own."""
    rng = np.random.default_rng(0)

    def again(paths: Paths) -> Paths:
        return paths[rng.integers(len(paths), size=len(paths))]

    ratios = sorted(time_ratio(again(ours), [again(other) for other in others]) for _ in range(resamples))
    return ratios[int(0.025 * resamples)], ratios[math.ceil(0.975 * resamples) - 1]


def table(paths: Mapping[str, Paths], base: float, seconds_per_run: float) -> str:
    """Reduction of the score, median and quartiles over seeds, at quarters of the time."""
    runs = next(iter(paths.values())).shape[1]
    at = [math.ceil(runs * share) for share in (0.125, 0.25, 0.5, 0.75, 1.0)]
    lines = [" " * 16 + "".join(f"{f'{n * seconds_per_run / 60:.0f} min':>26}" for n in at)]
    for method, found in paths.items():
        low, middle, high = np.percentile(100 * (found[:, [n - 1 for n in at]] / base - 1), (25, 50, 75), axis=0)
        cells = (f"{m:.1f} % [{a:.1f}, {b:.1f}]" for a, m, b in zip(low, middle, high, strict=True))
        lines.append(f"{LABELS[method]:<16}" + "".join(f"{cell:>26}" for cell in cells))
    return "\n".join(lines)


def beside(nights: Mapping[str, RealNight], found: Mapping[Kind, Paths], seconds_per_run: float) -> dict[str, dict[str, Any]]:
    """Method → where its real night stands where the shorter of it and the replay ends, and the range of 95 % of the replayed ones then."""
    told: dict[str, dict[str, Any]] = {}
    end_s = next(iter(found.values())).shape[1] * seconds_per_run
    for method, real in nights.items():
        assert real.state is not None
        spent_s, score = [lived for lived in zip(real.ground.clock_s, real.state.path, strict=False) if lived[0] <= end_s][-1]
        told[method] = {"minutes": round(spent_s / 60, 1), "score": round(score, 4)}
        for (model, name), paths in found.items():
            if name == method:
                at = max(1, round(spent_s / seconds_per_run)) - 1
                told[method][model] = [round(float(score), 4) for score in np.percentile(paths[:, at], (2.5, 97.5))]
    return told


def picture(paths: Mapping[str, Paths], seconds_per_run: float, said: str, nights: Mapping[str, RealNight]) -> str:
    """Median and quartiles over the seeds against minutes, and the real nights as thin lines, as SVG."""
    bands = {method: np.percentile(found, (25, 50, 75), axis=0) for method, found in paths.items()}
    runs = next(iter(paths.values())).shape[1]
    minutes = np.arange(1, runs + 1) * seconds_per_run / 60
    across = charts.Scale(0.0, float(minutes[-1]), 60, 560)
    down = charts.Scale(min(float(b.min()) for b in bands.values()), max(float(b.max()) for b in bands.values()), 330, 30)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 390" role="img" font-family="sans-serif" font-size="12">',
        f"<title>{said}</title>",
        '<rect width="720" height="390" fill="#fff"/>',
    ]
    parts += [
        f'<path d="M60,{tick.at} H560" stroke="#ddd"/><text x="54" y="{tick.at}" dy="4" text-anchor="end">{tick.label}</text>'
        for tick in charts.ticks(down)
    ]
    parts += [
        f'<path d="M{tick.at},330 v5" stroke="#888"/><text x="{tick.at}" y="349" text-anchor="middle">{tick.label}</text>'
        for tick in charts.ticks(across)
    ]
    parts.append('<text x="310" y="374" text-anchor="middle">minutes of search</text>')
    thin = "; thin, a real night of each" if nights else ""
    parts.append(f'<text x="60" y="18">confirmed score, bits per byte: median and quartiles over the seeds{thin}</text>')
    for method, real in nights.items():
        assert real.state is not None
        lived = [
            (across.at(s / 60), down.at(y)) for s, y in zip(real.ground.clock_s, real.state.path, strict=False) if s / 60 <= minutes[-1]
        ]
        parts.append(f'<path d="{charts.path(lived)}" fill="none" stroke="{LOOKS[method][0]}" stroke-width="0.8"/>')
    ends = sorted(bands, key=lambda method: -bands[method][1, -1])
    below = 0.0
    for method in ends:
        colour, dashes = LOOKS[method]
        low, middle, high = ([(across.at(x), down.at(y)) for x, y in zip(minutes, curve, strict=True)] for curve in bands[method])
        below = max(below + 16, middle[-1][1]) if below else middle[-1][1]
        parts.append(f'<path d="{charts.path(low + high[::-1])}Z" fill="{colour}" opacity="0.13"/>')
        parts.append(f'<path d="{charts.path(middle)}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>')
        parts.append(f'<text x="568" y="{charts.px(below)}" dy="4" fill="{colour}">{LABELS[method]}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def summary(paths: Mapping[str, Paths]) -> dict[str, Any]:
    """Method → paths; `time_ratio` with its interval, and where the median night of each ends."""
    ours, others = paths["ours"], [found for method, found in paths.items() if method != "ours"]
    ratio, (low, high) = time_ratio(ours, others), interval(ours, others)
    return {
        "time_ratio": _rounded(ratio),
        "time_ratio_low": _rounded(low),
        "time_ratio_high": _rounded(high),
        "end": {method: round(float(np.median(found[:, -1])), 4) for method, found in paths.items()},
    }


def _rounded(share: float) -> float | None:
    return round(share, 3) if math.isfinite(share) else None


def _methods(text: str) -> list[str]:
    methods = text.split(",")
    unknown = [method for method in methods if method not in POLICIES]
    if unknown or "ours" not in methods or len(methods) < 2:
        raise UsageError(f"--methods {text}: name ours and at least one other of {', '.join(POLICIES)}")
    return methods


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="of each method")
    parser.add_argument("--hours", type=float, default=1.0, help="of search")
    parser.add_argument("--methods", default=",".join(POLICIES))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", type=Path, default=recorded.TABLE, help="without suffix")
    parser.add_argument("--nights", type=Path, default=search_nights.TABLE, help="table of real nights, without suffix")
    parser.add_argument("--stand-in", action="store_true", help="on a formula, not on recorded runs")
    parser.add_argument("--kept", type=Path, default=None, help="file of finished nights: what was interrupted goes on there")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    chosen = parser.parse_args()
    source, models = (None, ["formula"]) if chosen.stand_in else (chosen.table, list(recorded.MODELS))
    try:
        methods, grounds = _methods(chosen.methods), {model: landscape(source, model) for model in models}
        first = grounds[models[0]]
        runs = round(3600 * chosen.hours / first.seconds_per_run)
        _known(chosen.kept, runs)
        nights = search_nights.lived(chosen.nights, methods) if chosen.nights.with_suffix(".json").is_file() else {}
    except ApplianceError as error:
        print(f"bench-search: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{runs} runs of {first.seconds_per_run:.1f} s a night, noise {first.noise_sd:.4f}", flush=True)
    reference = tasks.read_constants(first.loaded.reference(first.preset))
    bases = {model: ground.expected(reference)[0] for model, ground in grounds.items()}
    found = replay(source, list(itertools.product(models, methods)), chosen.seeds, runs, chosen.jobs, chosen.kept)
    summaries = {}
    for model, ground in grounds.items():
        base, paths = bases[model], {method: found[model, method] for method in methods}
        assert base is not None, "the reference of a night has run"
        print(f"\n{_told(ground, model)}\n{table(paths, base, first.seconds_per_run)}")
        summaries[model] = summary(paths)
    whole = summaries[models[0]] | {model: summaries[model] for model in models[1:]}
    if source is not None:  # a picture of a formula would be taken for a result
        whole["real"] = real = beside(nights, found, first.seconds_per_run)
        for method, told in real.items():
            ranges = ", ".join(f"{model} {told[model][0]:.3f} to {told[model][1]:.3f}" for model in models)
            print(f"real night, {LABELS[method]}: {told['score']:.3f} after {told['minutes']} min; 95 % of those replayed: {ranges}")
        said = f"Best confirmed score over time, {chosen.seeds} nights per method"
        paths = {method: found[models[0], method] for method in methods}
        chosen.picture.write_text(picture(paths, first.seconds_per_run, said, nights), encoding="utf-8")
    print(json.dumps(whole | {"seeds": chosen.seeds, "runs": runs, "recorded": source is not None}))
    ratio = whole["time_ratio"]
    return int(ratio is None or ratio > MOST_TIME)


def _told(ground: Landscape, model: str) -> str:
    if not isinstance(ground, recorded.Recorded):
        return "on a formula, not on recorded runs"
    return f"{model} through {ground.configurations} recorded configurations, cross-validated error {ground.error:.4f} in their better half"


if __name__ == "__main__":
    sys.exit(main())
