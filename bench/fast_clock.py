"""A clock on which waiting takes no time: it jumps when everybody who could do something is waiting, and runs with the real one meanwhile.

So a night of hours passes in minutes, while what the host really computes counts in real seconds.
"""

import threading
import time
from collections.abc import Callable

_LOOK_S = 0.002


class FastClock:
    """`workers` says how many threads besides the main one are at work or wait here through somebody."""

    def __init__(self, workers: Callable[[], int]) -> None:
        self._workers = workers
        self._skipped = 0.0
        self._sleeping: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic() + self._skipped

    def wait(self, seconds: float) -> bool:
        """Return after so many seconds of this clock."""
        due = self.now() + seconds
        with self._lock:
            self._sleeping.append(due)
        while (left := due - self.now()) > 0:
            with self._lock:
                if len(self._sleeping) > self._workers() and due == min(self._sleeping):
                    self._skipped += max(0.0, due - time.monotonic() - self._skipped)
                    break
            time.sleep(min(_LOOK_S, left))
        with self._lock:
            self._sleeping.remove(due)
        return False
