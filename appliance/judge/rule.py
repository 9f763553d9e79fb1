"""The rule of the judge: every threshold in one place, with where it comes from.

Method: a group-sequential test with a free screening look. Efficacy looks compare a one-sided Student p with a nominal level per look
(the significance-level approach for unknown variance: S. Pocock, Biometrika 64 (1977); C. Jennison & B. Turnbull, Group Sequential
Methods, 2000, ch. 4 and 11). Futility looks are non-binding: they can only lower the number of false keeps. The levels were tuned by
simulation of nights of 100 null candidates with the noise estimated as the night estimates it (`bench/judge.py` repeats that).
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Thresholds in units of the noise of one run; improvements are positive whatever the metric's direction."""

    screen: float = 0.9
    """A screening run better than the incumbent's mean by this many sd is promising."""
    half: tuple[float, ...] = (0.6, 0.6, 0.6, 0.6)
    """After the k-th fresh candidate run, before the incumbent's: its mean must lead the incumbent's known mean by this many sd."""
    futility: tuple[float, ...] = (0.3, 0.5, 0.7, 0.0)
    """After the k-th pair: go on only where the mean difference of the pairs is at least this many sd."""
    alpha: tuple[float, ...] = (0.0, 0.008, 0.008, 0.008)
    """After the k-th pair: keep where the one-sided p of the pairs is at most this."""
    worse_p: float = 0.025
    """One-sided: below it a candidate is called worse, not within noise."""
    simpler_p: float = 0.05
    """One-sided level at which a smaller candidate must be shown not worse than the incumbent by the smallest effect worth having."""

    @property
    def max_pairs(self) -> int:
        """Pairs after which a verdict is due."""
        return len(self.alpha)


RULE = Rule()
