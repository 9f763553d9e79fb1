"""How many of a night's keeps noise alone would make."""

from appliance.judge.noise import Noise
from appliance.judge.rule import RULE, Rule


def expected_false_keeps(screened: int, rule: Rule = RULE, noise: Noise | None = None) -> float:
    """Of `screened` experiments with a valid screening run, were none of them any better than the incumbent: the most that noise explains.

    From the rate that simulation gave the rule, at the degrees of freedom the night ended with (None: as if the sd were known, which
    is more).
    """
    less = rule.false_keeps_less / noise.df if noise else 0.0
    return screened / 100 * max(0.0, rule.false_keeps_per_100 - less)


def expected_false_keeps_if_lower(experiments: int) -> float:
    """The same for keep-if-lower from one baseline run, for imported nights.

    The k-th candidate is the best of k + 1 exchangeable runs with probability 1/(k + 1): the sum of these (4.2 for 100).
    """
    return sum(1 / (k + 1) for k in range(1, experiments + 1))
