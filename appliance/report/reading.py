"""Why this hardware wants what it wants, in words. A reading by stated rules, not a proof.

Rules, in order: the reference nearly filled memory; progress within the budget grew by half or shrank by a third; the winner comes near the
measured matrix rate, or works further from it than the reference and wins all the same. Roles come from the task.
"""

from dataclasses import dataclass

from appliance.report import numbers
from appliance.report.facts import Facts
from appliance.report.observed import observed, share

_FULL = 0.85
"""Share of usable memory from which the reference counts as filling it."""
_NEAR_ROOF = 0.4
"""Share of the measured matrix rate from which a configuration counts as limited by it."""

_Seen = tuple[str, str, float | None, float | None] | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Why, in words."""

    headline: str
    sentences: list[str]


def of(facts: Facts) -> Reading:
    """The reading of one night; empty where nothing was found."""
    if facts.winner is None:
        return Reading("", [])
    memory = observed(facts, "memory")
    usable = facts.plan.profile.usable_memory_bytes or facts.plan.device.memory_usable_bytes
    parts = [_filled(memory, usable), _progress(facts), _roof(facts), _spare(memory, usable)]
    heads = [head for head, _ in parts if head]
    if not any(said for _, said in parts):
        return Reading("", [])
    return Reading(", ".join(heads).capitalize() or "No single limit seen", [said for _, said in parts if said])


def _filled(memory: _Seen, usable: int | None) -> tuple[str, str]:
    if not (memory and memory[2] and usable and memory[2] / usable > _FULL):
        return "", ""
    filled, held = numbers.percent(memory[2] / usable), numbers.quantity(memory[3], memory[1])
    return "memory-limited", f"The reference filled {filled} of what this device can give; the winner holds {held}."


def _progress(facts: Facts) -> tuple[str, str]:
    progress, size = observed(facts, "progress"), observed(facts, "size")
    if not (progress and progress[2] and progress[3]):
        return "", ""
    label = progress[0].lower()
    before, after = numbers.quantity(progress[2], ""), numbers.quantity(progress[3], "")
    times = progress[3] / progress[2]
    if times >= 1.5:
        budget = "the same time" if "preset.budget_s" in facts.plan.unknown else numbers.duration(facts.plan.preset.budget_s)
        pays = ""
        if size and size[2] and size[3] and size[3] < 0.8 * size[2]:
            pays = f" It pays for them in size ({size[0].lower()}: {numbers.ratio(size[3], size[2])} of the reference)."
        return (
            "step-limited",
            f"In {budget} the reference gets through {before} {label}, the winner through {after}: "
            f"{numbers.ratio(progress[3], progress[2])} as many.{pays} On this hardware, more {label} in the same time are worth more than "
            "a larger configuration.",
        )
    if times <= 0.67:
        return (
            "room to grow",
            f"The winner takes {after} {label} where the reference took {before}: on this device fewer, more expensive ones pay off.",
        )
    return "", ""


def _roof(facts: Facts) -> tuple[str, str]:
    efficiency = observed(facts, "efficiency")
    if efficiency is None:
        return "", ""
    label, unit = efficiency[0], efficiency[1]
    old, new = share(efficiency[2], unit), share(efficiency[3], unit)
    if new is None:
        return "", ""
    peak = facts.plan.profile.peak_flops
    of_peak = f" of the {numbers.scaled(peak, 'FLOP/s')} measured" if peak else ""
    if new >= _NEAR_ROOF:
        return "rate-limited", f"The winner works at {numbers.percent(new)}{of_peak}: only less arithmetic would make it faster."
    if old is not None and new < 0.8 * old:
        return (
            "bandwidth- and overhead-limited",
            f"{label} falls from {numbers.percent(old)} to {numbers.percent(new)}{of_peak}: the smaller operations wait for memory and "
            "launches, not for the matrix units, yet it wins.",
        )
    if old is not None and new > 1.2 * old:
        return "", f"{label} rises from {numbers.percent(old)} to {numbers.percent(new)}{of_peak}."
    return "", f"{label} stays near {numbers.percent(new)}{of_peak}: far below it, so memory bandwidth or overhead per step is the limit."


def _spare(memory: _Seen, usable: int | None) -> tuple[str, str]:
    if not (memory and memory[3] and usable) or (memory[2] and memory[2] / usable > _FULL):
        return "", ""
    held, part = numbers.quantity(memory[3], memory[1]), numbers.percent(memory[3] / usable)
    return "", f"Memory is not what limits it: the winner holds {held} of {numbers.scaled(usable, 'B')} usable ({part})."
