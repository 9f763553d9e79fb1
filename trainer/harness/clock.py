"""The clock of a run: how far it is, whether another step fits, and what it did meanwhile.

It paces the asset; it guards nothing. The host's own clock ends a run that does not stop.
"""

import math
import time
from collections import deque
from statistics import median

import torch
from torch import Tensor

CURVE_POINTS = 200
"""Most points kept of the loss curve; past it every second one is dropped."""

RECENT_STEPS = 15
"""Steps whose median duration predicts the next one."""


class Clock:
    """Counts from the grant. Times are seconds on the monotonic clock.

    On a CUDA device one step stays in flight: `log` waits for the step before, so the device never waits for the host and no step is timed
    by its launch.
    """

    def __init__(self, budget_s: float, device: torch.device, reserve_s: float = 0.0) -> None:
        self.start = time.perf_counter()
        self.budget_s = max(budget_s - reserve_s, 1e-9)
        self.steps = 0
        self.tokens = 0
        self.curve: list[tuple[float, int, float]] = []
        self._every = 1
        self._settled = self.start
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)
        self._lag = int(device.type == "cuda")
        self._losses = torch.zeros(2, pin_memory=bool(self._lag))
        self._events = [torch.cuda.Event() for _ in range(2)] if self._lag else []

    @property
    def elapsed(self) -> float:
        """Seconds since the grant."""
        return time.perf_counter() - self.start

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0..1; schedules follow it."""
        return min(self.elapsed / self.budget_s, 1.0)

    @property
    def step_s(self) -> float:
        """Median duration of the last steps; 0 before the first."""
        return median(self._recent) if self._recent else 0.0

    def stop(self) -> bool:
        """True when one more step would not fit."""
        pending = min(self._lag, self.steps)
        return self.elapsed + (1 + pending) * self.step_s > self.budget_s

    def log(self, loss: Tensor, tokens: int) -> None:
        """Count one optimiser step over `tokens` tokens whose mean loss (nats per token, 0-dim) is `loss`.

        Raises: FloatingPointError when a loss is not finite.
        """
        self.steps += 1
        self.tokens += tokens
        slot = self.steps % 2
        self._losses[slot].copy_(loss.detach(), non_blocking=True)
        if self._lag:
            self._events[slot].record()
            slot = 1 - slot
            if self.steps == 1:
                return
            self._events[slot].synchronize()
        self._settle(self.steps - self._lag, float(self._losses[slot]))

    def _settle(self, step: int, loss: float) -> None:
        now = time.perf_counter()
        self._recent.append(now - self._settled)
        self._settled = now
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss is not finite at step {step}")
        if step % self._every == 0:
            self.curve.append((round(now - self.start, 4), step, round(loss, 5)))
            if len(self.curve) > CURVE_POINTS:
                self._every *= 2
                self.curve = [point for point in self.curve if point[1] % self._every == 0]
