"""The rows of one experiment series, gathered and not yet interpreted."""

from dataclasses import dataclass, field

from appliance.exchange.grammar import Cells, Layout
from appliance.exchange.text import Line
from appliance.records import Reason


@dataclass(kw_only=True, slots=True)
class Table:
    """Rows that belong together."""

    layout: Layout
    title: str | None = None
    """The banner above it."""
    rows: list[tuple[Line, Cells]] = field(default_factory=list)
    log: bool = False
    """A run's log: one row, no verdict."""
    budget_s: float | None = None
    """Of one run, where the log states it. Seconds."""
    curve: list[tuple[float, float, float]] = field(default_factory=list)
    """(seconds, step, loss) of a log."""
    failure: Reason | None = None
    """What a log shows to have ended its run."""
