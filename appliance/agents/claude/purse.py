"""What the model cost, and whether the next call can be paid: the cap is checked before each call with the worst case."""

import threading
from collections.abc import Mapping
from typing import Any

from appliance.agents.claude.prices import Rate, Usage

CHARACTERS_PER_TOKEN_AT_LEAST = 2.0
"""No text of a prompt has more tokens than its bytes divided by this: what the worst case counts with."""

LEAST_ANSWER_TOKENS = 2_000
"""An answer shorter than this is not worth asking for."""


class Purse:
    """One night's spending. Thread-safe."""

    def __init__(self, rate: Rate, cap_usd: float | None, state: Mapping[str, Any] | None = None) -> None:
        state = state or {}
        self.rate, self.cap_usd = rate, cap_usd
        self._lock = threading.Lock()
        self.calls: int = state.get("calls", 0)
        self.usage = Usage(**state.get("usage", {}))
        self.spent_usd: float = state.get("spent_usd", 0.0)
        self.unsure_usd: float = state.get("unsure_usd", 0.0) + state.get("open_usd", 0.0)
        """Most that calls may have cost which ended without saying: counted against the cap, not as spent."""
        self._open_usd = 0.0

    def answer_tokens(self, prompt_bytes: int, wanted: int) -> int:
        """Most output tokens that the next call may ask for and still stay within the cap; 0: not worth asking."""
        if self.cap_usd is None:
            return wanted
        with self._lock:
            left = self.cap_usd - self.spent_usd - self.unsure_usd - self._open_usd
        before = self.rate.worst_usd(_most_tokens(prompt_bytes), 0)
        each = self.rate.worst_usd(0, 1_000_000)
        assert before is not None, "a cap without a price is refused at the start"
        assert each is not None
        affordable = wanted if each == 0 else int((left - before) / each * 1_000_000)
        tokens = min(wanted, affordable) if left >= before else 0
        return tokens if tokens >= min(wanted, LEAST_ANSWER_TOKENS) else 0

    def open(self, prompt_bytes: int, output_tokens: int) -> None:
        """A call begins that can cost this much."""
        with self._lock:
            self._open_usd = self.rate.worst_usd(_most_tokens(prompt_bytes), output_tokens) or 0.0

    def settle(self, usage: Usage) -> float | None:
        """A call ended and told its tokens; its cost."""
        cost = self.rate.cost_usd(usage)
        with self._lock:
            self.calls, self.usage, self._open_usd = self.calls + 1, self.usage + usage, 0.0
            self.spent_usd += cost or 0.0
        return cost

    def settle_free(self) -> None:
        """A call ended that is not charged."""
        with self._lock:
            self._open_usd = 0.0

    def settle_unsure(self, told: Usage) -> float | None:
        """A call ended in the middle: what it told is spent; up to the worst case may have been."""
        cost = self.rate.cost_usd(told)
        with self._lock:
            self.calls, self.usage = self.calls + 1, self.usage + told
            self.spent_usd += cost or 0.0
            self.unsure_usd += max(0.0, self._open_usd - (cost or 0.0))
            self._open_usd = 0.0
        return cost

    @property
    def may_have_cost_usd(self) -> float:
        """Most that calls which never told may have cost, the open one included."""
        with self._lock:
            return self.unsure_usd + self._open_usd

    def dump(self) -> dict[str, Any]:
        """State; a call that is open counts as paid in full by whoever resumes."""
        with self._lock:
            return {
                "calls": self.calls,
                "usage": {"uncached": self.usage.uncached, "cache_write": self.usage.cache_write}
                | {"cache_read": self.usage.cache_read, "output": self.usage.output},
                "spent_usd": self.spent_usd,
                "unsure_usd": self.unsure_usd,
                "open_usd": self._open_usd,
            }


def _most_tokens(prompt_bytes: int) -> int:
    return int(prompt_bytes / CHARACTERS_PER_TOKEN_AT_LEAST) + 1
