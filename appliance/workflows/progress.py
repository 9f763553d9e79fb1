"""What a workflow tells whoever watches: phases, one-line notes, and the state of a night. The terminal's half lives in `cli`."""

from typing import Protocol

from appliance.records import Experiment, NightPlan, Run


class Progress(Protocol):
    """One small interface; `Silent` below is its null form."""

    def phase(self, name: str, detail: str = "") -> None:
        """A new phase begins (`detect`, `profile`, `image`, `data`, `calibrate`, `search`, `confirm`, `report`)."""

    def note(self, line: str) -> None:
        """One line for people, worth keeping."""

    def planned(self, plan: NightPlan, folder: str) -> None:
        """The night has its folder."""

    def clock(self, seconds_left: float, seconds_total: float) -> None:
        """Time left of the night."""

    def run_started(self, experiment: int, kind: str, budget_s: float) -> None:
        """A run goes into its sandbox."""

    def run_finished(self, run: Run) -> None:
        """A run is recorded."""

    def decided(self, experiment: Experiment, incumbent_score: float | None, baseline_score: float | None) -> None:
        """An experiment is recorded."""


class Silent:
    """Tells nobody."""

    def phase(self, name: str, detail: str = "") -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """Nothing."""

    def planned(self, plan: NightPlan, folder: str) -> None:
        """Nothing."""

    def clock(self, seconds_left: float, seconds_total: float) -> None:
        """Nothing."""

    def run_started(self, experiment: int, kind: str, budget_s: float) -> None:
        """Nothing."""

    def run_finished(self, run: Run) -> None:
        """Nothing."""

    def decided(self, experiment: Experiment, incumbent_score: float | None, baseline_score: float | None) -> None:
        """Nothing."""
