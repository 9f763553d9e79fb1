"""The rule of the judge: every threshold in one place, with where it comes from.

Method: a group-sequential test behind a screen. The screening run costs nothing extra and only opens the door. Then fresh runs come one
at a time, the candidate's before the incumbent's. After each of the candidate's, a futility look: its mean must lead the incumbent's
known mean, else the experiment ends and the incumbent's run is saved; nine of ten null candidates end by then. After each complete
pair, an efficacy look on the pairs alone, so that a machine that moved since calibration moves both sides: a one-sided Student p
against a nominal level per look. That carries a boundary for a known sd over to an estimated one (the significance-level approach:
S. Pocock, Biometrika 64 (1977) 191; C. Jennison & B. Turnbull, Group Sequential Methods, 2000, ch. 4 and 11). The levels grow as
√(k/8), between Pocock's constant ones and O'Brien and Fleming's; the first is lower still, so that one odd pair cannot decide. Futility
is non-binding: it can only lower the number of false keeps.

The thresholds were searched by simulating nights of 100 null candidates with the noise estimated as a night estimates it (6 calibration
runs, then everything repeated, pooled), for the highest power at 2 sd within the limits of 0.2 false keeps and 40 extra runs per 100
null candidates. What came of it: screens from 0.8 to 1.0 and leads from 0.4 to 0.6 are equal within 0.02 of power; a futility look on
the pairs adds nothing to the one before them; at most 4, 6 or 8 pairs give a power of 0.47, 0.60 or 0.65, and 10 to 16 add 0.02. The
last level is lower than Gaussian noise alone allows (0.010), so that the limit holds for the real runs and for a drifting machine too,
at a cost of 0.01 of power. `make bench-judge` repeats the figures.
"""

import math
from dataclasses import dataclass

_PAIRS = 8
_LAST = 0.0075


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Thresholds, in units of the noise of one run where nothing else is said; a lead is positive whatever the metric's direction."""

    screen: float = 0.9
    """A screening run that leads the incumbent's mean by this much is promising."""
    lead: float = 0.5
    """The candidate's fresh mean must lead the incumbent's known mean by this much for the incumbent to run beside it."""
    alpha: tuple[float, ...] = (0.0005, *(_LAST * math.sqrt(k / _PAIRS) for k in range(2, _PAIRS + 1)))
    """After the k-th pair: keep where the one-sided p of the pairs is at most this. As many pairs at most as there are levels."""
    worse_p: float = 0.025
    """One-sided: at or below it a candidate is called worse, not within noise."""
    simpler_p: float = 0.02
    """One-sided level, at each look from the second pair on, at which a smaller candidate must be shown to be not worse than the
    incumbent by the smallest effect worth having."""
    false_keeps_per_100: float = 0.15
    """Simulated: of 100 null candidates, Gaussian noise, known sd."""
    false_keeps_less: float = 0.25
    """Fewer by this over the degrees of freedom where the sd is estimated: Student's wider tails make the later looks harder to pass."""

    @property
    def max_pairs(self) -> int:
        """Pairs after which a verdict is due."""
        return len(self.alpha)


RULE = Rule()
