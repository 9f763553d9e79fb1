"""What an import yields: nights, and for every line of the file where it went."""

from appliance.records import FORMAT_VERSION, Night, Record
from appliance.records.base import Count, PositiveInt


class ImportedRow(Record, frozen=True, kw_only=True):
    """A line that became a run or an experiment."""

    line: PositiveInt
    text: str
    """The line as it stands in the file."""
    table: Count
    """Position among `Imported.nights`."""
    run: Count | None = None
    experiment: Count | None = None
    """0 is the baseline; None where the line states no verdict that is understood."""
    status: str | None = None
    """Their word for it."""
    note: str | None = None
    """What of the line was not taken over, and why."""


class Leftover(Record, frozen=True, kw_only=True):
    """A line that is in no night."""

    line: PositiveInt
    text: str
    why: str


class Imported(Record, frozen=True, kw_only=True):
    """Someone else's file: unverified, nothing of it was run here."""

    format_version: int = FORMAT_VERSION
    name: str
    """Of the file."""
    sha256: str
    encoding: str
    nights: list[Night]
    """One per table or log of the file, in its order."""
    titles: list[str | None]
    """The banner above each, where there is one."""
    statuses: list[dict[str, int]]
    """Per night: their status word → rows, the baseline's row included."""
    compared: list[Count]
    """Per night: experiments with a score that had something to be compared with; what expected false keeps are computed from."""
    rows: list[ImportedRow]
    leftovers: list[Leftover]
