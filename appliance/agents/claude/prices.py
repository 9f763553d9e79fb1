"""What tokens cost: a dated table (`prices.json`), or the price a person gives. An unknown model's cost is unknown, never zero."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.errors import UsageError
from appliance.records import Record
from appliance.records.base import Count, NonNegative

_TABLE = Path(__file__).with_name("prices.json")
_MILLION = 1_000_000


class Price(Record, frozen=True, kw_only=True):
    """USD per million tokens of one model."""

    input: NonNegative
    cache_write: NonNegative
    """Into the 1-hour cache."""
    cache_read: NonNegative
    output: NonNegative


class Table(Record, frozen=True, kw_only=True):
    """`prices.json`."""

    format_version: int
    date: str
    source: str
    unit: str
    note: str
    models: dict[str, Price]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one call or of several."""

    uncached: int = 0
    """Input that was neither read from nor written to the cache."""
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            uncached=self.uncached + other.uncached,
            cache_write=self.cache_write + other.cache_write,
            cache_read=self.cache_read + other.cache_read,
            output=self.output + other.output,
        )

    @property
    def input(self) -> int:
        """All of it, cached or not."""
        return self.uncached + self.cache_write + self.cache_read


class Rate(Record, frozen=True, kw_only=True):
    """The price used, and since when it is known: saved with the night."""

    model: str
    price: Price | None
    date: str
    source: str

    def cost_usd(self, usage: Usage) -> float | None:
        """Of these tokens; None where the price is unknown."""
        if self.price is None:
            return None
        price = self.price
        parts = (
            (usage.uncached, price.input),
            (usage.cache_write, price.cache_write),
            (usage.cache_read, price.cache_read),
            (usage.output, price.output),
        )
        return sum(tokens * rate for tokens, rate in parts) / _MILLION

    def worst_usd(self, input_tokens: Count, output_tokens: Count) -> float | None:
        """The most a call of this size can cost: every input token at the dearest rate."""
        if self.price is None:
            return None
        dearest = max(self.price.input, self.price.cache_write, self.price.cache_read)
        return (input_tokens * dearest + output_tokens * self.price.output) / _MILLION


def table() -> Table:
    """The shipped table."""
    return msgspec.json.decode(_TABLE.read_bytes(), type=Table)


def rate(model: str, given: str | None) -> Rate:
    """The rate of a model: what a person gave (`IN,OUT` or `IN,OUT,WRITE,READ`), else the table's; a dated snapshot has its model's price.

    Raises:
        UsageError: the given price is not one.
    """
    if given is not None:
        return Rate(model=model, price=_given(given), date="given", source="--price")
    known = table()
    name = model if model in known.models else model[:-9] if model[-9:-8] == "-" and model[-8:].isdigit() else model
    return Rate(model=model, price=known.models.get(name), date=known.date, source=known.source)


def _given(text: str) -> Price:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 4) or any(not 0 <= number < 1e6 for number in numbers):
        raise UsageError(
            f"--price {text!r} is not a price: give IN,OUT or IN,OUT,CACHE_WRITE,CACHE_READ in USD per million tokens, e.g. 2,10,4,0.2"
        )
    write, read = numbers[2:] or (2 * numbers[0], numbers[0])  # where reads are not told, nothing is assumed to be saved
    return Price(input=numbers[0], output=numbers[1], cache_write=write, cache_read=read)
