"""Energy and money: what the device drew, what the agent used, what an experiment and a kept change came to.

What nobody measured is unknown, and a sum over a part says over which. The agent's own account counts every call, also those that became no
experiment; where there is none, the experiments' own numbers are added up.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from appliance.records import Run
from appliance.report import numbers
from appliance.report.facts import KEPT, Facts

_PROPOSALS: Final = {
    "own": "by the model",
    "search": "by the search",
    "filled": "by the search while the model was silent",
    "rebased": "of the model's moved to a new incumbent",
    "dropped": "of them dropped",
}
"""The account's counts → words; those of the model first."""


def build(facts: Facts) -> list[tuple[str, str]]:
    """(label, text) of each line."""
    return [*_energy(facts), *_use(facts), *_money(facts)]


def _energy(facts: Facts) -> list[tuple[str, str]]:
    watts = [r.telemetry.power_w_mean for r in facts.runs if r.telemetry.power_w_mean is not None]
    return [
        ("Energy of the device", _drawn(facts.own)),
        *([("Energy after the night", _drawn(facts.later))] if facts.later else []),
        *([("Mean power while running", f"{statistics.fmean(watts):.0f} W")] if watts else []),
    ]


def _drawn(runs: Sequence[Run]) -> str:
    joules = [r.telemetry.energy_j for r in runs if r.telemetry.energy_j is not None]
    return _over(f"{numbers.significant(sum(joules) / 3.6e6)} kWh", len(joules), len(runs), "run") if joules else "unknown"


def _use(facts: Facts) -> list[tuple[str, str]]:
    account = facts.state.agent
    pairs = []
    if account.get("model"):
        pairs.append(("Model", str(account["model"])[:100]))
    if proposals := _counts(account.get("proposals")):
        pairs.append(("Proposals", ", ".join(f"{proposals[kind]} {said}" for kind, said in _PROPOSALS.items() if kind in proposals)))
    calls = _number(account, "calls")
    if calls is not None:
        kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in list(_counts(account.get("answers")).items())[:8])
        pairs.append(("Calls of the model", numbers.fixed(calls, 0) + (f"; answers: {kinds}" if kinds else "")))
    read, written, cached = (_total(facts, name) for name in ("tokens_in", "tokens_out", "tokens_cached"))
    if read or written:
        said = f"{numbers.fixed(read, 0)} in, {numbers.fixed(written, 0)} out"
        pairs.append(("Tokens of the agent", said + (f", {numbers.fixed(cached, 0)} from its cache" if cached else "")))
    if account.get("given_up"):
        pairs.append(("Not asked again", str(account["given_up"])[:200]))
    return pairs


def _money(facts: Facts) -> list[tuple[str, str]]:
    paid = [e for e in facts.experiments if e.cost_usd is not None]
    told = _number(facts.state.agent, "cost_usd")
    total = told if told is not None else sum(e.cost_usd or 0.0 for e in paid) if paid else None
    if total is None:
        free = facts.plan.agent in {"search", "replay"} and not facts.plan.imported
        return [("Cost of the agent", "none: this agent calls no model" if free else "unknown")]
    said = _dollars(total) if told is not None else _over(_dollars(total), len(paid), len(facts.experiments), "experiment")
    unsure, cap = _number(facts.state.agent, "cost_unsure_usd"), _number(facts.state.agent, "max_cost_usd")
    if unsure:
        said += f", at most {_dollars(total + unsure)} with calls that ended without telling theirs"
    pairs = [("Cost of the agent", said + (f"; the cap was {_dollars(cap)}" if cap else ""))]
    if isinstance(rate := facts.state.agent.get("rate"), dict) and rate.get("date"):
        pairs.append(("Prices", f"of {str(rate['date'])[:40]}"))
    if paid:
        kept = sum(e.verdict in KEPT for e in paid)
        pairs.append(("Cost of an experiment", f"{_dollars(total / len(paid))}, mean of the {len(paid)} that it proposed"))
        pairs.append(("Cost of a kept change", f"{_dollars(total / kept)}, {kept} kept" if kept else "it proposed none that was kept"))
    return pairs


def _total(facts: Facts, name: str) -> float | None:
    told = _number(facts.state.agent, name)
    if told is not None:
        return told
    known = [value for e in facts.experiments if (value := getattr(e, name)) is not None]
    return sum(known) if known else None


def _dollars(value: float) -> str:
    """Cents; below a dime as many digits as tell it from nothing."""
    return f"US$ {value:.2f}" if value >= 0.1 or value == 0 else f"US$ {numbers.significant(value, 2)}"


def _over(text: str, known: int, all_of: int, what: str) -> str:
    return text if known == all_of else f"{text}, known for {known} of {numbers.plural(all_of, what)}"


def _number(account: Mapping[str, Any], name: str) -> float | None:
    """A number of the account, which is whatever an agent wrote: anything else is unknown."""
    value = account.get(name)
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return value if good else None


def _counts(value: object) -> dict[str, int]:
    """What is counted in it, without what was never seen."""
    if not isinstance(value, dict):
        return {}
    return {str(kind)[:40]: count for kind, count in value.items() if isinstance(count, int) and count > 0}
