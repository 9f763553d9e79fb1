"""The clock of a night: seconds granted, seconds spent; a resumed night goes on with what was left."""

import time
from collections.abc import Callable


class Clock:
    """Counts boot-time seconds, so that a machine asleep spends the night too."""

    def __init__(
        self, total_s: float, spent_s: float = 0.0, now: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    ) -> None:
        self.total_s = total_s
        self._now = now
        self._began = now() - spent_s

    @property
    def spent_s(self) -> float:
        """Since the night's start, interruptions not counted."""
        return self._now() - self._began

    @property
    def left_s(self) -> float:
        """Until the night is over; never negative."""
        return max(0.0, self.total_s - self.spent_s)
