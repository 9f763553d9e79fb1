"""The first sentence of a page: what the night came to, said so that it is true at first sight.

A winner that was not confirmed, did not survive, or came from someone else's file says so before any number.
"""

from dataclasses import dataclass, field
from typing import Final

from appliance.report import numbers
from appliance.report.charts import Scale, Tick, px, ticks
from appliance.report.facts import Facts, Gain

SPLITS: Final = {
    "search": "the search's own claim",
    "val": "fresh runs, search split",
    "test": "test split, never selected on",
    "transfer_model": "same model, other data",
    "transfer_configuration": "same configuration, trained on other data",
}
"""How each split of a confirmation is called on the page."""
_TRANSFER: Final = ("transfer_model", "transfer_configuration")


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of the interval picture."""

    label: str
    relative: str
    span: str
    pairs: str
    state: str
    """`holds`, `fails`, `claim`, `open` or `short` (on the right side, with fewer pairs than confirming takes)."""
    x: str
    x_low: str | None
    x_high: str | None
    method: str


@dataclass(frozen=True, slots=True)
class Forest:
    """Relative differences with their intervals on one axis."""

    rows: list[Interval] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    zero: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The head of the page."""

    tone: str
    """`good`, `caution`, `bad` or `plain`: decides a colour and a mark, never the only sign."""
    hero: str
    sentence: str
    short: str
    """For a title, an index, a notification."""
    forest: Forest = Forest()
    shrinkage: str | None = None


def of(facts: Facts) -> Verdict:
    """The verdict on a night."""
    tone, hero, sentence = _said(facts)
    forest = _forest(facts)
    shrinkage = None
    ran = facts.confirmation is not None and facts.confirmation.status in {"confirmed", "not_confirmed"}
    if ran and facts.confirmation and facts.confirmation.shrinkage is not None and facts.confirmation.claimed is not None:
        lost, claim = facts.confirmation.shrinkage, numbers.percent(abs(facts.confirmation.claimed))
        shrinkage = (
            f"The search had claimed {claim}; {numbers.percent(lost)} of that did not hold on unseen data."
            if lost > 0.005
            else f"The search had claimed {claim}; nothing of it was lost on unseen data."
        )
    return Verdict(tone, hero, sentence, f"{hero}: {facts.plan.device.name}", forest, shrinkage)


def better_word(facts: Facts, relative: float) -> str:
    """`lower` or `higher`, whichever the difference is."""
    return "lower" if relative < 0 else "higher"


def amount(facts: Facts, gain: Gain) -> str:
    """`22.5 % lower`; with the metric's unit where it cannot be relative."""
    if gain.absolute:
        size, _ = numbers.with_interval(abs(gain.relative), gain.low, gain.high, sign=False)
        return f"{size} {facts.metric.unit} {better_word(facts, gain.relative)}"
    return f"{numbers.percent(abs(gain.relative), gain.low, gain.high)} {better_word(facts, gain.relative)}"


def signed(gain: Gain) -> tuple[str, str]:
    """(difference, interval) for a table."""
    if gain.absolute:
        return numbers.with_interval(gain.relative, gain.low, gain.high)
    return numbers.percent(gain.relative, gain.low, gain.high, sign=True), numbers.percent_span(gain.low, gain.high)


def interval(gain: Gain) -> str:
    """`95 % interval 21.0 to 24.0 %`; an interval through zero keeps its signs."""
    if gain.low is None or gain.high is None:
        return "no interval"
    if gain.absolute:
        return f"95{numbers.NARROW}% interval {numbers.with_interval(gain.relative, gain.low, gain.high)[1]}"
    same_side = gain.low * gain.high > 0
    return f"95{numbers.NARROW}% interval {numbers.percent_span(gain.low, gain.high, magnitude=same_side)}"


def _start(facts: Facts) -> str:
    if facts.plan.parent_night:
        return "the winner of an earlier night, where it started"
    return "the reference"


def _said(facts: Facts) -> tuple[str, str, str]:
    if facts.plan.imported:
        return _imported(facts)
    if facts.running:
        return _running(facts)
    if not facts.runs and not facts.experiments:
        why = f": {facts.state.ended_why}" if facts.state.ended_why else ""
        return "plain", "Nothing ran", f"in this night{why}."
    if facts.winner is None:
        return _no_winner(facts)
    status = facts.confirmation.status if facts.confirmation else "not_run"
    test = facts.estimate("test")
    metric = facts.metric_label
    if status == "confirmed" and test:
        held = _held(facts)
        return "good", amount(facts, test), f"{metric} than {_start(facts)} on data nobody selected on ({interval(test)}): {held}"
    if status == "not_confirmed" and test:
        return (
            "bad",
            "Did not survive",
            f"confirmation: on the test split the search's winner is {amount(facts, test)} in {metric} ({interval(test)}), "
            f"which is not better than {_start(facts)} beyond doubt.",
        )
    reason = facts.confirmation.reason if facts.confirmation and facts.confirmation.reason else facts.state.ended_why
    because = f" ({reason})" if reason else ""
    gain = facts.search_gain
    missing = "the confirmation fell short" if test else "test and transfer were not run"
    if gain is None:
        return "caution", "Not confirmed", f"a winner was kept, but {missing}{because}."
    return (
        "caution",
        "Not confirmed",
        f"{amount(facts, gain)} {metric} is the search's own claim on the split it selected on ({interval(gain)}); {missing}{because}.",
    )


def _held(facts: Facts) -> str:
    found = [(split, facts.estimate(split)) for split in _TRANSFER]
    ran = [(split, gain) for split, gain in found if gain is not None]
    if not ran:
        return "it held on test; transfer to other data was not run."
    if all(gain.holds for _, gain in ran):
        return "it held on test and on transfer to other data."
    if not any(gain.holds for _, gain in ran):
        return "it held on test, but not on transfer to other data."
    good = next(SPLITS[split] for split, gain in ran if gain.holds)
    poor = next(SPLITS[split] for split, gain in ran if not gain.holds)
    return f"it held on test and on transfer as {good}, but not as {poor}."


def _no_winner(facts: Facts) -> tuple[str, str, str]:
    tried = len(facts.experiments)
    if not tried:
        why = f": {facts.state.ended_why}" if facts.state.ended_why else ""
        return "plain", "No experiment", f"was decided; only the reference ran ({numbers.plural(len(facts.runs), 'run')}){why}."
    lost = sum(facts.verdicts[v] for v in ("failed", "rejected", "refused"))
    if lost == tried:
        what = "the one experiment" if tried == 1 else f"all {tried} experiments"
        return "bad", "No result", f"from this night: {what} failed, so nothing can be said about {facts.metric_label} on this hardware."
    noise = f" (one run varies by ±{numbers.significant(1.96 * facts.noise[0], 2)})" if facts.noise else ""
    what = "the one experiment was not" if tried == 1 else f"none of {tried} experiments was"
    return "plain", "No gain", f"found: {what} better in {facts.metric_label} than {_start(facts)} beyond this machine's noise{noise}."


def _running(facts: Facts) -> tuple[str, str, str]:
    gain = facts.search_gain
    done = f"{numbers.plural(len(facts.experiments), 'experiment')} decided, phase {facts.state.phase}"
    if gain is None:
        return "plain", "Still running", f"and nothing better than {_start(facts)} yet: {done}."
    return "caution", f"{amount(facts, gain)} so far", f"in {facts.metric_label}, unconfirmed ({interval(gain)}): still running, {done}."


def _imported(facts: Facts) -> tuple[str, str, str]:
    scores = [r.score for r in facts.runs if r.status == "ok" and r.score is not None]
    base = facts.baseline.mean if facts.baseline else None
    best = facts.level(facts.winner.experiment) if facts.winner else None
    if best is None and scores:
        best = min(scores) if facts.lower else max(scores)
    if base and best is not None and best != base:
        relative = (best - base) / abs(base)
        size = f"{numbers.percent(abs(relative))} {better_word(facts, relative)}"
        claim = f"claims {size} {facts.metric_label} over {facts.verdicts.total()} experiments"
    else:
        claim = f"lists {numbers.plural(len(facts.experiments), 'experiment')}"
    return "caution", "Imported, unverified", f"this file of someone else's {claim}; nothing of it was run, repeated or confirmed here."


def _forest(facts: Facts) -> Forest:
    gains: list[tuple[str, Gain]] = []
    if facts.winner is not None and not facts.plan.imported and facts.search_gain:
        claim = facts.search_gain
        if facts.confirmation and facts.confirmation.claimed is not None and facts.confirmation.estimates:
            claim = Gain(facts.confirmation.claimed, None, None, "search", claim.pairs, None, "the search's fresh runs")
        gains.append(("search", claim))
    gains += [(split, gain) for split in SPLITS if split != "search" and (gain := facts.estimate(split))]
    gains = [(split, gain) for split, gain in gains if not gain.absolute]
    known = [v * 100 for _, g in gains for v in (g.relative, g.low, g.high) if v is not None and numbers.known(v)]
    if not known:
        return Forest()
    low, high = min(0.0, *known), max(0.0, *known)
    widest = max(abs(g.relative) for _, g in gains) * 100
    low, high = max(low, -4 * widest - 1), min(high, 4 * widest + 1)
    pad = max((high - low) * 0.06, 1e-6)
    scale = Scale(low - pad, high + pad, 6, 354)
    rows = []
    for split, gain in gains:
        state = "claim" if split == "search" else {True: "holds", False: "fails", None: "open"}[gain.holds]
        if facts.confirmation and facts.confirmation.status == "not_run" and state == "holds":
            state = "short"
        ends = [None if v is None else px(scale.at(v * 100)) for v in (gain.low, gain.high)]
        rows.append(
            Interval(
                SPLITS.get(split, split),
                numbers.percent(gain.relative, gain.low, gain.high, sign=True),
                numbers.percent_span(gain.low, gain.high),
                numbers.plural(gain.pairs, "run" if split == "search" else "pair"),
                state,
                px(scale.at(gain.relative * 100)),
                ends[0],
                ends[1],
                gain.method,
            )
        )
    return Forest(rows, [Tick(t.at, f"{t.label}{numbers.NARROW}%") for t in ticks(scale, 4)], px(scale.at(0)))
