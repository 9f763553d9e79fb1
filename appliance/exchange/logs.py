"""The log of one training run: progress lines become its curve, the summary its score and observables."""

from dataclasses import dataclass, field

from appliance.exchange import grammar, words
from appliance.exchange.table import Table
from appliance.exchange.text import Line
from appliance.records import Reason

_POINTS = 200


@dataclass(slots=True)
class LogReader:
    """Reads the lines of one run."""

    budget_s: float | None = None
    curve: list[tuple[float, int, float]] = field(default_factory=list)
    """(share of the budget, step, loss)."""
    summary: dict[str, str] = field(default_factory=dict)
    score: tuple[str, str] | None = None
    """Column name and text of the metric."""
    line: Line | None = None
    """The one that holds the score, else the last progress line."""
    failure: Reason | None = None

    def ends_before(self, line: Line) -> bool:
        """Whether this line belongs to another run: a second score, or progress after the summary."""
        if self.score is None:
            return False
        text = line.text.strip()
        summary = grammar.SUMMARY.fullmatch(text)
        second = summary is not None and words.key_of(summary["key"]) in words.SCORES and words.number_of(summary["value"]) is not None
        return bool(second or grammar.STEP.match(text) or grammar.BUDGET.fullmatch(text))

    def take(self, line: Line) -> bool:
        """Whether the line is one of a log; if so it was taken."""
        text = line.text.strip()
        if step := grammar.STEP.match(text):
            loss = words.number_of(step["loss"])
            if loss is not None:
                self.curve.append((float(step["percent"]) / 100, int(step["step"]), loss))
            self.line = line
            return True
        if budget := grammar.BUDGET.fullmatch(text):
            self.budget_s = float(budget["seconds"]) or None
            return True
        if self.curve and (reason := _failure(text)):
            self.failure = reason if reason is Reason.OUT_OF_MEMORY or not self.failure else self.failure
            return True
        return self._take_summary(line, text)

    def table(self, title: str | None) -> Table | None:
        """What was gathered, as a table of one row; None where no run was seen."""
        if self.line is None:
            return None
        name, score = self.score or ("val_bpb", "")
        table = Table(layout=grammar.Layout(delimiter="\t", columns=(name,), score=name), title=title)
        table.rows.append((self.line, grammar.Cells(score=score, numbers=self.summary)))
        table.budget_s, table.failure, table.log = self.budget_s, self.failure, True
        if self.budget_s:
            stride = max(1, -(-len(self.curve) // _POINTS))
            table.curve = [(share * self.budget_s, float(step), loss) for share, step, loss in self.curve[::-1][::stride][::-1]]
        return table

    def _take_summary(self, line: Line, text: str) -> bool:
        summary = grammar.SUMMARY.fullmatch(text)
        if not summary or words.number_of(summary["value"]) is None:
            return bool(self.curve) and text == "---"
        key = words.key_of(summary["key"])
        if key in words.SCORES:
            self.score, self.line = (key, summary["value"]), line
            return True
        if words.observable_of(key) is None or key in self.summary:
            return False
        self.summary[key] = summary["value"]
        return True


def _failure(text: str) -> Reason | None:
    if grammar.OUT_OF_MEMORY.search(text):
        return Reason.OUT_OF_MEMORY
    return Reason.CRASH if grammar.TRACEBACK.search(text) else None
