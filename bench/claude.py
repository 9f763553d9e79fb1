"""A night with Claude against the local Messages server: does the device wait, is an answer lost, does the money add up?

Everything is real but the runs (the surrogate's formula, 60 s each on a fast clock) and the model (scripted answers of more than thirty
kinds, 20–60 s of latency over real HTTP with streaming): the loop, the judge, the agent, the SDK, the ledger. The same night without
overlap stands beside it, and a third one whose cap is reached.

Last line: JSON with `idle_share`, `idle_share_without_overlap`, `lost`, `spend_error_usd`. Answers that broke off never told what they
cost: the agent states the least and the most, and the server's bill must lie between, and within the cap. Exit 1 where the device idles
more than 2 %, anything is lost or unaccounted for, or the money is off by a cent.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from fast_clock import FastClock
from messages_server import KEY, MessagesServer
from scripted_model import BAD, GOOD, Model
from surrogate import PROFILE, Surrogate

from appliance import ledger, tasks
from appliance.agents import claude
from appliance.agents.ahead import Ahead
from appliance.agents.claude import prices
from appliance.records import Device, NightPlan, Preset, Reason, Score, Telemetry
from appliance.workflows import overnight
from appliance.workflows.clock import Clock
from appliance.workflows.execution import Corpus, RunOutcome, RunRequest
from appliance.workflows.progress import Silent
from appliance.workflows.workplace import Workplace

RUN_S = 60.0
MOST_IDLE = 0.02


@dataclass
class Execution:
    """Runs by formula, on the fast clock; keeps when the device worked."""

    surrogate: Surrogate
    clock: FastClock
    worked: list[tuple[float, float]] = field(default_factory=list)

    def run(self, request: RunRequest) -> RunOutcome:
        """60 s later."""
        began = self.clock.now()
        self.clock.wait(RUN_S)
        self.worked.append((began, self.clock.now()))
        constants = tasks.read_constants(request.files)
        started = "2026-01-01T00:00:00Z"
        if float(constants.get("DEPTH", 0)) < 1:
            log = 'Traceback (most recent call last):\n  File "/asset/train.py", line 130\nIndexError: list index out of range'
            return RunOutcome(status="failed", reason=Reason.CRASH, detail="IndexError", started_at=started, wall_s=RUN_S, log_tail=log)
        loss, observables = self.surrogate.expected(constants)
        rng = random.Random(request.seed)
        scores = [Score(split=split, score=loss + rng.gauss(0.0, 0.004), bytes=65536) for split in request.splits]
        curve = [(n * RUN_S / 20, n * observables["steps"] / 20, loss + 3.0 / (n + 1)) for n in range(21)]
        return RunOutcome(
            status="ok",
            scores=scores,
            observables=dict(observables),
            curve=curve,
            telemetry=Telemetry(samples=30, interval_s=2.0),
            started_at=started,
            create_s=0.3,
            startup_s=2.0,
            budget_s=RUN_S,
            finish_s=0.1,
            evaluate_s=2.0,
            wall_s=RUN_S,
        )


@dataclass(frozen=True, kw_only=True)
class Result:
    """What one night came to."""

    idle_share: float
    experiments: int
    by_agent: dict[str, int]
    kept: int
    gain: float
    lost: int
    unaccounted: int
    billed_usd: float
    spend_error_usd: float
    cache_share: float
    kinds: int
    account: dict[str, Any]


def night(root: Path, *, hours: float, overlap: bool, cap_usd: float, seed: int) -> Result:
    """One night."""
    surrogate = Surrogate()
    preset: Preset = msgspec.structs.replace(surrogate.preset, budget_s=RUN_S)
    clock = FastClock(lambda: sum(thread.name == "appliance-thinking" for thread in threading.enumerate()))
    options = claude.options({"max_cost_usd": cap_usd, "overlap": overlap, "timeout_s": 3.0})
    price = msgspec.to_builtins(prices.table().models[options.model])
    server = MessagesServer(
        Model(seed, (20.0, 60.0)), prices=price, wait=lambda s: clock.wait(s) and None, now=clock.now, models=(options.model,)
    )
    with server:
        os.environ |= {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": KEY}
        thinker = claude.Claude(options, claude.Model(options), wait=clock.wait, now=clock.now)
        agent = Ahead(thinker, seed=seed, overlap=overlap)
        place = _workplace(root, surrogate, preset)
        execution = Execution(surrogate, clock)
        plan, baseline = _plan(place, hours, seed)
        with ledger.create(root, plan, [baseline]) as book:
            overnight.work(book, place, execution, Silent(), Clock(hours * 3600, now=clock.now), agent)
            while any(thread.name == "appliance-thinking" for thread in threading.enumerate()):
                clock.wait(1.0)
            return _result(book, server, agent, execution, clock)


def _result(book: ledger.Ledger, server: MessagesServer, agent: Ahead, execution: Execution, clock: FastClock) -> Result:
    runs, experiments = book.runs(), book.experiments()
    first = next(n for n, run in enumerate(runs) if run.experiment > 0)
    last = max(n for n, run in enumerate(runs) if run.kind != "confirm")
    worked = execution.worked[first : last + 1]
    busy = sum(end - began for began, end in worked)
    numbers = {e.experiment for e in experiments}
    lost = len(set(range(1, max(numbers) + 1)) - numbers) + len(book.pending_experiments())
    account = agent.account()
    answers = {name: n for name, n in account["answers"].items() if not name.startswith("refused_")}
    billed, most = server.ledger.billed_usd, account["cost_usd"] + account["cost_unsure_usd"]
    gain = (book.state.confirmation.claimed if book.state.confirmation else None) or 0.0
    return Result(
        idle_share=1 - busy / (worked[-1][1] - worked[0][0]),
        experiments=len(experiments),
        by_agent=dict(Counter(e.agent for e in experiments)),
        kept=sum(e.verdict.value.startswith("kept") for e in experiments),
        gain=gain,
        lost=lost,
        unaccounted=abs(server.ledger.calls - sum(answers.values())),
        billed_usd=billed,
        spend_error_usd=max(0.0, account["cost_usd"] - billed, billed - most, billed - account["max_cost_usd"]),
        cache_share=server.ledger.cache_read_share(),
        kinds=len(set(server.ledger.kinds)),
        account=account,
    )


def _workplace(root: Path, surrogate: Surrogate, preset: Preset) -> Workplace:
    splits = dict.fromkeys(("train", "val", "test", "transfer"), root)
    return Workplace(
        device=Device(kind="cpu", index=0, name="simulated", slug="simulated", cores=2),
        loaded=surrogate.loaded,
        preset_name="cpu",
        preset=preset,
        place=None,  # type: ignore[arg-type]
        profile=PROFILE,
        first=Corpus(name="text", sha256="1" * 64, splits=splits),
        second=None,
        versions={},
    )


def _plan(place: Workplace, hours: float, seed: int) -> tuple[NightPlan, dict[str, str]]:
    baseline = place.loaded.reference(place.preset)
    sha256 = ledger.asset_sha256(baseline)
    plan = NightPlan(
        night_id="20260101-000000-simulated-0000",
        started_at="2026-01-01T00:00:00Z",
        hours=hours,
        device=place.device,
        profile=place.profile,
        task=place.loaded.task,
        task_sha256=place.loaded.sha256,
        preset_name="cpu",
        preset=place.preset,
        isolation="none",
        data_sha256="1" * 64,
        agent="claude",
        seed=seed,
        baseline_sha256=sha256,
        reference_sha256=sha256,
    )
    return plan, baseline


def main() -> int:
    """Three nights and the verdict on them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, default=5.0, help="Of the two nights that are compared.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="Show each night's account.")
    chosen = parser.parse_args()
    results = {}
    settings = (("overlap", chosen.hours, True, 25.0), ("no overlap", chosen.hours, False, 25.0), ("capped", chosen.hours / 2, True, 0.5))
    for name, hours, overlap, cap in settings:
        with tempfile.TemporaryDirectory(prefix="appliance-bench-") as folder:
            os.environ["APPLIANCE_STATE"] = f"{folder}/state"
            r = results[name] = night(Path(folder), hours=hours, overlap=overlap, cap_usd=cap, seed=chosen.seed)
        print(
            f"{name:<11} idle {100 * r.idle_share:5.2f} %, {r.experiments} experiments ({r.by_agent}), {r.kept} kept, "
            f"{100 * r.gain:+.1f} %, {r.account['calls']} calls of {r.kinds} kinds, "
            f"${r.billed_usd:.2f} of ${cap:g}, cache {100 * r.cache_share:.0f} %, "
            f"lost {r.lost}, unaccounted {r.unaccounted}, money off by ${r.spend_error_usd:.4f}",
            flush=True,
        )
        if chosen.verbose:
            print(json.dumps(r.account, indent=1))
    overlap, plain = results["overlap"], results["no overlap"]
    summary = {
        "idle_share": round(overlap.idle_share, 4),
        "idle_share_without_overlap": round(plain.idle_share, 4),
        "lost": sum(r.lost for r in results.values()),
        "unaccounted": sum(r.unaccounted for r in results.values()),
        "spend_error_usd": round(max(r.spend_error_usd for r in results.values()), 4),
        "cache_read_share": round(median(r.cache_share for r in results.values()), 3),
        "kinds": overlap.kinds,
    }
    print(json.dumps(summary))
    good = overlap.idle_share <= MOST_IDLE and not summary["lost"] and not summary["unaccounted"] and summary["spend_error_usd"] < 0.01
    assert len(GOOD | BAD) >= 30
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
