"""`make bench-judge`: what the judge's rule believes on nights where nothing is better, and what it finds where something is.

Nights of 100 null candidates are simulated, many at once, for the rule of `appliance.judge` and beside it three others on the same
screening runs: keep-if-lower, a margin of 2 sd on one run, and a screen at 1 sd with three fresh runs. At every tenth experiment each night
also meets a candidate that is 2 or 3 sd better, which then leaves no trace.
No engine; the last line is JSON; exit 1 where a promise is broken.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
from judge_simulation import Draw, Drift, Floats, Nights, Outcome, SingleRun, decide, three_fresh

from appliance.judge import REBASELINE_EVERY, RULE, Noise, next_step, throughput_limit
from appliance.records import Metric, Verdict

EXPERIMENTS = 100
CALIBRATION = 6
"""Runs before the first experiment: what `calibration_complete` asks for where the smallest effect worth having is about one sd."""
EFFECTS = (2.0, 3.0)
EFFECTS_EVERY = 10
DATA = Path(__file__).parent / "data" / "gb10_repeats.tsv"


@dataclass(kw_only=True)
class Case:
    """A kind of noise."""

    name: str
    draw: Draw
    nights: int
    known: bool = False
    drift: Drift = field(default_factory=Drift)
    calibration: int = CALIBRATION
    spread: float = 1.0
    others: bool = False
    """Show the other policies beside it."""


@dataclass(kw_only=True)
class Row:
    """One line of the table."""

    case: str
    policy: str
    false_keeps: float
    """Per 100 null candidates."""
    bias: float
    """sd by which the incumbent's score is too good at the end of the night."""
    extra: float
    """Fresh runs per 100 null candidates, the candidates' and the incumbent's."""
    power: dict[float, float]
    coverage: float | None = None
    """Share of the kept 3-sd candidates whose true effect lies in the 95 % interval."""
    claim: float | None = None
    """Mean measured over true effect of the kept 3-sd candidates."""


def load() -> tuple[Floats, Floats]:
    """Scores and steps of the real runs, in order of time."""
    table = np.loadtxt(DATA, comments="#", skiprows=3)
    return table[:, 0], table[:, 1]


def gaussian(rng: np.random.Generator, n: int) -> Floats:
    return rng.standard_normal(n)


def heavy(rng: np.random.Generator, n: int) -> Floats:
    scores: Floats = rng.standard_t(4, n) / np.sqrt(2)
    return scores


def resampled(scores: Floats, scale: float, centre: float) -> Draw:
    values = (scores - centre) / scale
    return lambda rng, n: values[rng.integers(len(values), size=n)]


def simulate(case: Case, policy: Callable[[Nights, float], Outcome], name: str) -> Row:
    """Nights of one policy that repeats its candidates."""
    nights = _nights(case)
    kept = extra = 0
    power = {effect: [0, 0] for effect in EFFECTS}
    covered, claims = [], []
    for experiment in range(1, EXPERIMENTS + 1):
        if experiment % EFFECTS_EVERY == 0:
            for effect in EFFECTS:
                found = policy(nights.copy(), effect)
                power[effect][0] += int(found.kept.sum())
                power[effect][1] += case.nights
                if effect == EFFECTS[-1]:
                    lead, reach = found.lead[found.kept], found.reach[found.kept]
                    covered.append(np.abs(lead - effect) <= reach)
                    claims.append(lead / effect)
        outcome = policy(nights, 0.0)
        kept += int(outcome.kept.sum())
        extra += int(outcome.extra.sum())
        if experiment % REBASELINE_EVERY == 0:
            nights.run_incumbent(np.arange(case.nights))
    per_100 = 100 / (case.nights * EXPERIMENTS)
    return Row(
        case=case.name,
        policy=name,
        false_keeps=kept * per_100,
        bias=float(nights.bias().mean()),
        extra=extra * per_100,
        power={effect: hit / tried for effect, (hit, tried) in power.items()},
        coverage=float(np.concatenate(covered).mean()),
        claim=float(np.concatenate(claims).mean()),
    )


def simulate_single(case: Case, margin: float, name: str) -> Row:
    """Nights of a policy that believes one run."""
    policy = SingleRun(nights=_nights(case), margin=margin)
    kept = 0
    power = {effect: [0, 0] for effect in EFFECTS}
    for experiment in range(1, EXPERIMENTS + 1):
        if experiment % EFFECTS_EVERY == 0:
            for effect in EFFECTS:
                power[effect][0] += int(policy.decide(effect, commit=False).sum())
                power[effect][1] += case.nights
        kept += int(policy.decide().sum())
    per_100 = 100 / (case.nights * EXPERIMENTS)
    return Row(
        case=case.name,
        policy=name,
        false_keeps=kept * per_100,
        bias=float(policy.bias().mean()),
        extra=0.0,
        power={effect: hit / tried for effect, (hit, tried) in power.items()},
    )


def _nights(case: Case) -> Nights:
    nights = Nights(
        count=case.nights,
        draw=case.draw,
        rng=np.random.default_rng([5, 1]),
        screens=np.random.default_rng([5, 2]),
        known=case.known,
        drift=case.drift,
        spread=case.spread,
    )
    nights.calibrate(np.arange(case.nights), case.calibration)
    return nights


def cases() -> list[Case]:
    """From the one that is promised to those that hurt."""
    scores, steps = load()
    limit = throughput_limit(steps[:8].tolist())
    calm = scores[steps >= limit]
    scale, centre = float(calm.std(ddof=1)), float(calm.mean())
    undetected = resampled(scores, scale, centre)
    return [
        Case(name="Gaussian, sd estimated", draw=gaussian, nights=6000, others=True),
        Case(name="Gaussian, sd known", draw=gaussian, nights=2000, known=True, others=True),
        Case(name="Gaussian, calibrated on 3 runs", draw=gaussian, nights=2000, calibration=3),
        Case(name="Gaussian, calibrated on 8 runs", draw=gaussian, nights=2000, calibration=8),
        Case(name="heavy tails (Student, 4 df)", draw=heavy, nights=2000),
        Case(name="candidates with 1.5 times the noise", draw=gaussian, nights=2000, spread=1.5),
        Case(name="real runs, disturbed ones found", draw=resampled(calm, scale, centre), nights=2000, others=True),
        Case(name="real runs, disturbed ones let in", draw=undetected, nights=2000),
        Case(name="drift, 2 sd better over the night", draw=gaussian, nights=2000, drift=Drift(per_run=-2 / 140), others=True),
        Case(name="drift, 2 sd worse over the night", draw=gaussian, nights=2000, drift=Drift(per_run=2 / 140)),
        Case(name="drift, random walk of 1 sd", draw=gaussian, nights=2000, drift=Drift(walk=1 / 140**0.5)),
    ]


def detector() -> str:
    """The throughput detector on the real runs, its limit from the first 8 of them."""
    _, steps = load()
    limit = throughput_limit(steps[:8].tolist())
    disturbed, calm, between = steps < 500, steps >= 585, (steps >= 500) & (steps < 585)
    found = steps < limit
    hits = int((found & disturbed).sum())
    recall, precision = hits / int(disturbed.sum()), hits / int((found & (disturbed | calm)).sum())
    return (
        f"disturbed runs by throughput alone, limit {limit:.1f} steps from the first 8 of {len(steps)} real runs: "
        f"{hits} of {int(disturbed.sum())} found, {int((~found & calm).sum())} of {int(calm.sum())} calm ones kept, "
        f"recall {recall:.3f}, precision {precision:.3f}; of the {int(between.sum())} between, {int((found & between).sum())} are flagged"
    )


def smaller(margin: float, candidates: int = 1500) -> str:
    """What becomes of a smaller candidate that is as good as the incumbent, and of one that is worse by the very margin it may lose."""
    rng = np.random.default_rng(8)
    metric = Metric(name="score", unit="sd", direction="lower", version="1", smallest_effect=margin)
    shares = []
    for worse in (0.0, margin):
        kept = runs = 0
        for _ in range(candidates):
            reference, screen = rng.standard_normal(8).tolist(), rng.standard_normal() + worse
            candidate, incumbent = list[float](), list[float]()
            while True:
                step = next_step(metric, screen, reference, candidate, incumbent, Noise(sd=1.0, df=30), simpler=True)
                if step.needs is None:
                    break
                runs += 1
                (candidate if step.needs == "candidate" else incumbent).append(rng.standard_normal() + worse * (step.needs == "candidate"))
            kept += step.verdict in (Verdict.KEPT, Verdict.KEPT_SIMPLER)
        shares.append((kept / candidates, runs / candidates))
    (equal, cost), (bad, bad_cost) = shares
    return (
        f"smaller candidates, margin {margin:g} sd: {equal:.2f} of equal ones kept at {cost:.1f} extra runs each, "
        f"{bad:.3f} of those worse by the margin at {bad_cost:.1f}"
    )


def line(row: Row) -> str:
    coverage = "" if row.coverage is None else f"{row.coverage:6.2f} {row.claim:6.2f}"
    power = " / ".join(f"{row.power[effect]:.2f}" for effect in EFFECTS)
    return f"{row.case:<34} {row.policy:<22} {row.false_keeps:8.2f} {row.bias:8.2f} {row.extra:8.1f}   {power} {coverage}"


def main() -> int:
    began = perf_counter()
    print(f"{'noise':<34} {'policy':<22} {'false':>8} {'bias':>8} {'extra':>8}   {'power':<11} {'in 95%':>6} {'claim':>6}")
    print(f"{'':<34} {'':<22} {'keeps':>8} {'of best':>8} {'runs':>8}   {'2 / 3 sd':<11} {'(kept, 3 sd)':>13}")
    rows = []
    for case in cases():
        found = [simulate(case, lambda nights, effect: decide(nights, RULE, effect), "the judge")]
        if case.others:
            found += [simulate_single(case, 0.0, "keep if lower"), simulate_single(case, 2.0, "margin 2 sd, one run")]
            found.append(simulate(case, three_fresh, "screen, 3 fresh"))
        for row in found:
            print(line(row), flush=True)
        rows += found
    print(smaller(1.5))
    print(smaller(2.5))
    print(detector())
    print(f"per 100 null candidates; {perf_counter() - began:.0f} s")
    estimated, known = (
        next(row for row in rows if row.case == f"Gaussian, sd {how}" and row.policy == "the judge") for how in ("estimated", "known")
    )
    result = {
        "false_keeps_per_100": round(estimated.false_keeps, 4),
        "bias_sd": round(estimated.bias, 4),
        "power_2sd": round(estimated.power[2.0], 4),
        "power_3sd": round(estimated.power[3.0], 4),
        "extra_runs_per_100": round(estimated.extra, 2),
        "power_2sd_known": round(known.power[2.0], 4),
        "power_3sd_known": round(known.power[3.0], 4),
    }
    promised = (
        result["false_keeps_per_100"] <= 0.2
        and result["bias_sd"] <= 0.3
        and result["extra_runs_per_100"] <= 40
        and result["power_3sd"] >= 0.75
        and result["power_3sd_known"] >= 0.85
    )
    print(
        "every promise held"
        if promised
        else "a promise is broken: false keeps ≤ 0.2, bias ≤ 0.3 sd, extra runs ≤ 40, power at 3 sd ≥ 0.75 and 0.85"
    )
    print(json.dumps(result))
    return 0 if promised else 1


if __name__ == "__main__":
    sys.exit(main())
