"""`make bench-gb10-night`: a real CPU night in which a scripted Claude plays the moves of the GB10's nights; is what it keeps better?

    python bench/gb10_night.py [--hours 0.35] [--preset cpu-quick] [--sandbox docker] [--nights FOLDER]

Everything is real, the containers, the training, the judge, the agent, the SDK, the HTTP, but the model: a local Messages server answers
with the moves that made those nights (halve batch, depth, width; shorter sequences; another vocabulary) and with bad ones among them, each
as a SEARCH/REPLACE edit of the line as it stands in the asset it was shown. Where the model has nothing ready, `search` fills in, as ever.

Afterwards the ledger is held to its word: every kept change was better in complete fresh pairs by at least the smallest effect and at the
judge's level, no other was, the incumbents form one chain, every run belongs to a decided experiment, every answer is accounted for. Last
line: JSON with `experiments`, `kept`, `problems`, `unaccounted`, `cache_read_share` (of the input tokens of all calls but the first, by the
server's own count). Exit 1 where there is a problem or the share is below 0.8.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
from messages_server import KEY, MessagesServer, Reply
from scripted_model import answer, present

from appliance import judge, ledger
from appliance.agents import claude
from appliance.agents.claude import prices
from appliance.errors import ApplianceError
from appliance.records import Experiment, Metric, Night, Run, Verdict
from appliance.workflows import overnight
from appliance.workflows.progress import Silent

LATENCY_S = 4.0
LEAST_CACHED = 0.8
Literal = str | None
"""A constant's new literal; None where the move cannot be played from here."""


def _scaled(factor: float, low: int, high: int) -> Callable[[str], Literal]:
    def moved(old: str) -> Literal:
        new = round(int(old) * factor)
        return str(new) if low <= new <= high else None

    return moved


def _next(choices: Sequence[int], way: int) -> Callable[[str], Literal]:
    def moved(old: str) -> Literal:
        at = choices.index(int(old)) + way if int(old) in choices else -1
        return str(choices[at]) if 0 <= at < len(choices) else None

    return moved


def _put(new: str) -> Callable[[str], Literal]:
    return lambda old: new if old != new else None


VOCABULARIES, LENGTHS = (256, 1024, 2048, 8192), (64, 128, 256, 512, 1024, 2048)
MOVES: Mapping[str, tuple[str, Callable[[str], Literal]]] = {
    # what made the nights on a GB10
    "halve_batch": ("BATCH_TOKENS", _scaled(0.5, 256, 524288)),
    "halve_depth": ("DEPTH", _scaled(0.5, 1, 12)),
    "double_depth": ("DEPTH", _scaled(2, 1, 24)),
    "halve_width": ("WIDTH", _scaled(0.5, 64, 1024)),
    "shorter_sequence": ("SEQUENCE_LENGTH", _next(LENGTHS, -1)),
    "absurd_matrix_rate": ("MATRIX_LR", _put("3.0")),
    "larger_vocabulary": ("VOCAB_SIZE", _next(VOCABULARIES, 1)),
    "swiglu": ("ACTIVATION", _put('"swiglu"')),
    "double_batch": ("BATCH_TOKENS", _scaled(2, 256, 16384)),
    "no_layers": ("DEPTH", _put("0")),  # crashes
    "value_embeddings": ("VALUE_EMBEDDINGS", _put("True")),
    "double_width": ("WIDTH", _scaled(2, 64, 1024)),
    "less_decay": ("WEIGHT_DECAY", _put("0.09")),  # does nothing that could be seen
    "bytes": ("VOCAB_SIZE", _put("256")),
    "absurd_embedding_rate": ("EMBED_LR", _put("100.0")),
    "longer_sequence": ("SEQUENCE_LENGTH", _next(LENGTHS, 1)),
}
"""Name → constant, and its literal → the new one."""


class Player:
    """A model that plays the moves in turn, again and again; one that cannot be played from the incumbent is passed over."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s, self._turn = latency_s, 0

    def __call__(self, request: Mapping[str, Any], number: int) -> Reply:
        """The reply to one call."""
        lines = present(request)
        for _ in MOVES:
            name = list(MOVES)[self._turn % len(MOVES)]
            self._turn += 1
            edit = played(name, lines)
            if edit:
                return Reply(text=answer(edit, why=f"{name}: as on other small devices"), latency_s=self._latency_s, kind=name)
        return Reply(text="Nothing is left to try.", latency_s=self._latency_s, kind="nothing")


def played(move: str, lines: Mapping[str, str]) -> dict[str, str]:
    """The line as it stands → as the move makes it; empty where it cannot be played."""
    constant, moved = MOVES[move]
    line = lines[constant]
    code, mark, comment = line.partition("  #")
    new = moved(code.split("=", 1)[1].strip())
    return {} if new is None else {line: f"{constant} = {new}{mark}{comment}"}


def problems(night: Night) -> list[str]:
    """What in the ledger contradicts the judge's rule; empty where nothing does."""
    found, incumbent, metric = [], 0, night.plan.task.metric
    experiments = sorted(night.experiments, key=lambda e: e.experiment)
    if [e.experiment for e in experiments] != list(range(1, len(experiments) + 1)):
        found.append("the experiments are not numbered without a gap")
    for e in experiments:
        kept = e.verdict in (Verdict.KEPT, Verdict.KEPT_SIMPLER)
        if (e.parent, e.incumbent) != (incumbent, e.experiment if kept else incumbent):
            found.append(f"experiment {e.experiment} breaks the chain of incumbents")
        incumbent = e.incumbent
        mine = [run.run for run in night.runs if run.experiment == e.experiment and _candidates(run)]
        if sorted(mine) != sorted([*e.runs, *e.runs_invalid]):
            found.append(f"experiment {e.experiment} names runs {e.runs} and has {mine}")
        found += [f"experiment {e.experiment} is {e.verdict} and {why}" for why in _misjudged(e, night.runs, metric)]
    known = {0, *(e.experiment for e in experiments)}
    found += [f"run {run.run} belongs to no decided experiment" for run in night.runs if run.experiment not in known]
    return found


def _candidates(run: Run) -> bool:
    """Whether a run was a candidate's, on the way to its verdict."""
    return run.kind == "screen" or (run.kind == "replicate" and run.for_experiment == run.experiment)


def _misjudged(e: Experiment, runs: Sequence[Run], metric: Metric) -> list[str]:
    """Where its rows say otherwise than its verdict."""
    pairs = [run for run in runs if run.kind == "replicate" and run.for_experiment == e.experiment and run.status == "ok"]
    candidate = [run.score or 0.0 for run in pairs if run.experiment == e.experiment]
    beside = [run.score or 0.0 for run in pairs if run.experiment == e.parent]
    sign = 1.0 if metric.direction == "lower" else -1.0
    complete = bool(beside) and len(candidate) == len(beside)
    lead = sign * (fmean(beside) - fmean(candidate)) if complete else 0.0
    level = judge.RULE.alpha[min(len(beside), judge.RULE.max_pairs) - 1] if complete else 0.0
    better = complete and lead >= metric.smallest_effect and e.p is not None and e.p <= level
    if e.verdict is Verdict.KEPT:
        if not better:
            return ["was not better in its pairs by the judge's rule"]
        return [] if e.difference is not None and abs(e.difference + sign * lead) < 1e-9 else ["its difference is not that of its pairs"]
    if e.verdict is Verdict.KEPT_SIMPLER:
        return [] if complete and lead >= -metric.smallest_effect else ["was worse by more than the smallest effect"]
    if e.verdict in (Verdict.FAILED, Verdict.REJECTED, Verdict.REFUSED):
        return [] if e.reason else ["gives no reason"]
    return ["was better by the judge's rule"] if better else []


def table(night: Night) -> str:
    """A line an experiment: who, what, verdict, difference, p."""
    lines = [f"{'#':>3} {'agent':<7} {'move':<44} {'verdict':<13} {'difference':>11} {'p':>9}"]
    for e in night.experiments:
        what = e.hypothesis.split(":")[0] if e.agent == "claude" else " ".join(e.hypothesis.split())
        difference = "–" if e.difference is None else f"{e.difference:+.4f}"
        p = "–" if e.p is None else f"{e.p:.2g}"
        lines.append(f"{e.experiment:>3} {e.agent:<7} {what[:44]:<44} {e.verdict:<13} {difference:>11} {p:>9}")
    return "\n".join(lines)


def unaccounted(server: MessagesServer, account: Mapping[str, Any]) -> int:
    """Calls that the agent's account and the server's count differ by."""
    answers: int = sum(n for name, n in account["answers"].items() if not name.startswith("refused_"))
    return abs(server.ledger.calls - answers)


def live(options: overnight.Options, server: MessagesServer) -> Night:
    """The night, against the server."""
    os.environ |= {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": KEY}
    outcome = overnight.begin(options, Silent())
    print(f"the page: {outcome.page}", flush=True)
    return ledger.read(outcome.folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0.35)
    parser.add_argument("--preset", default="cpu-quick")
    parser.add_argument("--sandbox", choices=("docker", "process"), default="docker")
    parser.add_argument("--nights", type=Path, default=None, help="default as for `appliance overnight`")
    chosen = parser.parse_args()
    model = claude.options({}).model
    price = msgspec.to_builtins(prices.table().models[model])
    options = overnight.Options(
        hours=chosen.hours, agent="claude", preset=chosen.preset, device="cpu", sandbox=chosen.sandbox, nights=chosen.nights
    )
    try:
        with MessagesServer(Player(LATENCY_S), prices=price, models=(model,)) as server:
            night = live(options, server)
    except ApplianceError as error:
        print(f"bench-gb10-night: {error}", file=sys.stderr)
        return error.exit_code
    print(table(night))
    wrong = problems(night)
    for line in wrong:
        print(f"PROBLEM {line}")
    summary = {
        "experiments": len(night.experiments),
        "by_claude": sum(e.agent == "claude" for e in night.experiments),
        "kept": sum(e.incumbent == e.experiment for e in night.experiments),
        "problems": len(wrong),
        "unaccounted": unaccounted(server, night.state.agent),
        "cache_read_share": round(server.ledger.cache_read_share(), 3),
        "cost_usd": round(server.ledger.billed_usd, 4),
    }
    print(json.dumps(summary))
    return int(bool(wrong) or bool(summary["unaccounted"]) or not summary["by_claude"] or summary["cache_read_share"] < LEAST_CACHED)


if __name__ == "__main__":
    sys.exit(main())
