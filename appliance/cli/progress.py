"""A night on the terminal: a live panel where there is one, plain lines where there is not."""

from __future__ import annotations  # records cost more than `--help` may

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from appliance.records import Experiment, NightPlan, Run
    from appliance.workflows.progress import Progress


def terminal(*, quiet: bool = False) -> Progress:
    """The right watcher for this stderr."""
    if quiet:
        from appliance.workflows.progress import Silent

        return Silent()
    return Live() if sys.stderr.isatty() else Lines()


class Lines:
    """Plain lines on stderr, for logs and pipes; safe to read the next morning."""

    def __init__(self) -> None:
        self._plan: NightPlan | None = None

    def phase(self, name: str, detail: str = "") -> None:
        """`== name: detail`."""
        self._line(f"== {name}{': ' + detail if detail else ''}")

    def note(self, line: str) -> None:
        """The line, indented."""
        self._line(f"   {line}")

    def planned(self, plan: NightPlan, folder: str) -> None:
        """Where it is kept."""
        self._plan = plan
        self._line(f"   night {plan.night_id} in {folder}")

    def clock(self, seconds_left: float, seconds_total: float) -> None:
        """Nothing: each line has its time."""

    def run_started(self, experiment: int, kind: str, budget_s: float) -> None:
        """Nothing: the finished run says it all."""

    def run_finished(self, run: Run) -> None:
        """One line per run."""
        self._line(f"   run {run.run:>3}  {run.kind:<11} of {run.experiment:<3} {_outcome(run, self._plan)}")

    def decided(self, experiment: Experiment, incumbent_score: float | None, baseline_score: float | None) -> None:
        """One line per verdict."""
        self._line(f" * {_verdict(experiment)}; best so far {_best(incumbent_score, baseline_score)}")

    def _line(self, text: str) -> None:
        click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


class Live:
    """A panel that redraws itself: phase, clock left, best so far, the last verdicts, steps and throughput."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._console = Console(stderr=True)
        self._plan: NightPlan | None = None
        self._phase, self._detail, self._best = "", "", ""
        self._left: float | None = None
        self._left_at = time.monotonic()
        self._running = ""
        self._last: deque[str] = deque(maxlen=8)
        self._live = RichLive(get_renderable=self._draw, console=self._console, refresh_per_second=2, transient=True)
        self._live.start()

    def phase(self, name: str, detail: str = "") -> None:
        """The headline."""
        self._phase, self._detail, self._running = name, detail, ""
        if name == "end":
            self._live.stop()

    def note(self, line: str) -> None:
        """Kept above the panel."""
        self._live.console.print(line, markup=False, highlight=False)

    def planned(self, plan: NightPlan, folder: str) -> None:
        """Where it is kept."""
        self._plan = plan
        self.note(f"night {plan.night_id} in {folder}")

    def clock(self, seconds_left: float, seconds_total: float) -> None:
        """Sets the countdown."""
        self._left, self._left_at = seconds_left, time.monotonic()

    def run_started(self, experiment: int, kind: str, budget_s: float) -> None:
        """What runs now."""
        self._running = f"{kind} of experiment {experiment}, {budget_s:g} s"

    def run_finished(self, run: Run) -> None:
        """Into the list."""
        self._last.append(f"run {run.run}: {run.kind} of {run.experiment}: {_outcome(run, self._plan)}")

    def decided(self, experiment: Experiment, incumbent_score: float | None, baseline_score: float | None) -> None:
        """Into the list, and the best."""
        self._best = _best(incumbent_score, baseline_score)
        self._last.append(_verdict(experiment))

    def _draw(self) -> Any:
        from rich.panel import Panel
        from rich.text import Text

        lines = [self._detail] if self._detail else []
        if self._left is not None:
            left = max(0.0, self._left - (time.monotonic() - self._left_at))
            lines.append(f"clock left {int(left // 3600)}:{int(left % 3600 // 60):02}:{int(left % 60):02}")
        if self._best:
            lines.append(f"best so far {self._best}")
        if self._running:
            lines.append(f"running    {self._running}")
        lines.extend(["", *self._last] if self._last else [])
        title = f"overnight · {self._plan.device.name} · {self._phase}" if self._plan else f"overnight · {self._phase}"
        return Panel(Text("\n".join(lines)), title=title, title_align="left")


def _outcome(run: Run, plan: NightPlan | None) -> str:
    if run.status != "ok" or run.score is None:
        return f"{run.status}: {run.reason}{f' ({run.detail})' if run.detail else ''}"
    known = plan.task.observables if plan else {}
    shown = [name for name, observable in known.items() if observable.role in ("progress", "throughput")]
    rates = [f"{known[name].label} {run.observables[name]:,.0f}" for name in shown if name in run.observables]
    return f"{run.metric} {run.score:.4f}{'  ' + ', '.join(rates) if rates else ''}"


def _verdict(experiment: Experiment) -> str:
    effect = "" if experiment.difference is None else f" ({experiment.difference:+.4f})"
    return f"experiment {experiment.experiment} {experiment.verdict}{effect}: {experiment.hypothesis.splitlines()[0][:90]}"


def _best(incumbent: float | None, baseline: float | None) -> str:
    if incumbent is None or baseline is None:
        return "–"
    return f"{incumbent:.4f} ({(incumbent - baseline) / baseline:+.1%} of {baseline:.4f})"
