"""Others' results files and logs, as they are in the wild → nights that are marked imported.

Everything understood is kept with its original text; everything not understood is listed with its line; nothing is invented: an unknown
number is null, an unknown status has no verdict, and the fields of a night that the file does not tell are named in `NightPlan.unknown`.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import UsageError
from appliance.exchange import grammar
from appliance.exchange.imported import Imported, Leftover
from appliance.exchange.logs import LogReader
from appliance.exchange.nights import night_of
from appliance.exchange.table import Table
from appliance.exchange.text import Line, lines_of


def read(path: Path, *, noise_sd: float | None = None, device: str | None = None) -> Imported:
    """Import a file.

    Args:
        path: results.tsv, .csv, Markdown table or run log.
        noise_sd: Standard deviation of one run on their machine, where the caller knows it.
        device: What it ran on, where the caller knows it.

    Raises:
        UsageError: no such file, or too large for a results file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return read_bytes(raw, path.name, noise_sd=noise_sd, device=device)


def read_bytes(raw: bytes, name: str, *, noise_sd: float | None = None, device: str | None = None) -> Imported:
    """The same for bytes at hand."""
    lines, encoding = lines_of(raw, name)
    reader = _Reader()
    for line in lines:
        reader.take(line)
    tables = reader.finish()
    sha256 = hashlib.sha256(raw).hexdigest()
    made = [night_of(table, index, file=name, sha256=sha256, noise_sd=noise_sd, device=device) for index, table in enumerate(tables)]
    return Imported(
        name=name,
        sha256=sha256,
        encoding=encoding,
        nights=[one.night for one in made],
        titles=[table.title for table in tables],
        statuses=[one.statuses for one in made],
        compared=[one.compared for one in made],
        rows=sorted((row for one in made for row in one.rows), key=lambda row: (row.line, row.table)),
        leftovers=sorted(reader.leftovers, key=lambda leftover: leftover.line),
    )


def doubtful_keeps(imported: Imported, noise_sd: float) -> list[int]:
    """Per night, keeps whose gain over the best before is within two standard errors of a difference of single runs, 2·√2·`noise_sd`."""
    counts = []
    for night in imported.nights:
        scores = {run.experiment: run.score for run in night.runs if run.score is not None}
        sign = 1 if night.plan.task.metric.direction == "lower" else -1
        best, doubtful = scores.get(0), 0
        for experiment in night.experiments:
            score = scores.get(experiment.experiment)
            if score is None or experiment.verdict not in {"kept", "kept_simpler"}:
                continue
            if best is not None and sign * (best - score) < 2 * 2**0.5 * noise_sd:
                doubtful += 1
            best = score if best is None or sign * (best - score) > 0 else best
        counts.append(doubtful)
    return counts


@dataclass(slots=True)
class _Reader:
    """Gathers lines into tables and logs, in the order of the file."""

    tables: list[Table] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    layout: grammar.Layout | None = None
    title: str | None = None
    open_table: Table | None = None
    log: LogReader = field(default_factory=LogReader)

    def take(self, line: Line) -> None:
        """Put one line where it belongs."""
        text = line.text
        if not text.strip():
            return
        if layout := grammar.header(text):
            self.layout, self.open_table = layout, None
        elif found := grammar.row(text, self.layout):
            self._add(line, *found)
        elif (self.layout and grammar.rule(text)) or self._logged(line):
            pass
        elif grammar.banner(text):
            self.open_table, self.title = None, text.strip()
            self.leftovers.append(Leftover(line=line.number, text=text, why="a banner: rows below it are a table of their own"))
        else:
            self.leftovers.append(Leftover(line=line.number, text=text, why="not a header, a row, or a line of a known log"))

    def finish(self) -> list[Table]:
        """Everything found."""
        self._close_log()
        return self.tables

    def _add(self, line: Line, cells: grammar.Cells, layout: grammar.Layout) -> None:
        if self.open_table is None:
            self.layout = layout
            self.open_table = Table(layout=layout, title=self.title)
            self.tables.append(self.open_table)
            self.title = None
        self.open_table.rows.append((line, cells))

    def _logged(self, line: Line) -> bool:
        if self.log.ends_before(line):
            self._close_log()
        return self.log.take(line)

    def _close_log(self) -> None:
        table = self.log.table(self.title)
        if table:
            self.tables.append(table)
            self.title = None
        self.log = LogReader()
