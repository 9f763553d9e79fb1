"""What a person may say about the model: checked before a night is set up."""

import difflib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from appliance.agents.claude import prices
from appliance.errors import UsageError
from appliance.records import Record
from appliance.records.base import Positive, PositiveInt

DEFAULT_MODEL = "claude-sonnet-5-5"


class Options(Record, frozen=True, kw_only=True):
    """Options of the agents `claude` and `hybrid`."""

    model: str = DEFAULT_MODEL
    max_cost_usd: Positive | None = None
    """The night never costs more; checked before each call with the worst case."""
    price: str | None = None
    """`IN,OUT[,CACHE_WRITE,CACHE_READ]` in USD per million tokens, for a model the table does not know."""
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    """How hard the model thinks; None: its own default."""
    max_tokens: PositiveInt = 16_000
    """Most tokens of one answer, thinking included."""
    timeout_s: Positive = 600.0
    """Of one call, first byte to last."""
    share: Positive | None = None
    """Of the experiments that the model proposes; the rest is `search`'s. None: all that it can."""
    overlap: bool = True
    """Think while the device works. Off only to measure what it is worth."""


def options(given: Mapping[str, Any]) -> Options:
    """The options, checked.

    Raises:
        UsageError: an unknown or wrong one, or a cap on a model whose price nobody knows.
    """
    known = [field.name for field in msgspec.structs.fields(Options)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(f"the claude agent has no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    try:
        chosen = msgspec.convert(dict(given), Options)
    except msgspec.ValidationError as error:
        raise UsageError(f"an option of the claude agent is wrong: {error}") from error
    if chosen.share is not None and chosen.share > 1:
        raise UsageError(f"--share {chosen.share:g} is not a share: give more than 0 and at most 1")
    known_rate = prices.rate(chosen.model, chosen.price)
    if chosen.max_cost_usd is not None and known_rate.price is None:
        raise UsageError(
            f"--max-cost needs a price and the table of {known_rate.date} has none for {chosen.model!r}: give it with "
            "--price IN,OUT,CACHE_WRITE,CACHE_READ (USD per million tokens), or name a model of the table: "
            + ", ".join(prices.table().models)
        )
    return chosen
