"""How much of a night is kept for confirming it: a number of runs at their measured cost, not a share of the clock."""

from dataclasses import dataclass

from appliance.judge.confirmation import MIN_TEST_PAIRS, MIN_TRANSFER_PAIRS

NIGHT_SHARE = 0.35
"""At most this much of the night."""
CHEAP_SHARE = 0.15
"""Up to this much buys more pairs than the least: a shorter interval at no real cost."""
MAX_TEST_PAIRS = 8
MAX_TRANSFER_PAIRS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmationPlan:
    """Pairs to run after the search, and when the search must stop for them."""

    test_pairs: int
    transfer_pairs: int
    seconds: float
    """What they cost."""
    fits: bool
    """The least that can confirm fits; else the page will say "not confirmed"."""
    reason: str | None = None
    """One line for people where it does not fit."""


def plan_confirmation(seconds_per_test_pair: float, seconds_per_transfer_pair: float | None, night_seconds: float) -> ConfirmationPlan:
    """Plan from the measured cost of a pair (two whole runs and their evaluations); None for a task without a second corpus."""
    transfer_cost = seconds_per_transfer_pair or 0.0
    wanted = MIN_TRANSFER_PAIRS if seconds_per_transfer_pair is not None else 0
    limit = NIGHT_SHARE * night_seconds
    test, transfer = MIN_TEST_PAIRS, wanted
    least = test * seconds_per_test_pair + transfer * transfer_cost
    if least > limit:
        test = min(MIN_TEST_PAIRS, int(limit / seconds_per_test_pair))
        test = test if test >= 2 else 0
        left = limit - test * seconds_per_test_pair
        transfer = min(wanted, int(left / transfer_cost)) if test and transfer_cost > 0 else 0
        transfer = transfer if transfer >= 2 else 0
        return ConfirmationPlan(
            test_pairs=test,
            transfer_pairs=transfer,
            seconds=test * seconds_per_test_pair + transfer * transfer_cost,
            fits=False,
            reason=f"{MIN_TEST_PAIRS} pairs on test and {wanted} on the second corpus take {least:.0f} s; "
            f"{NIGHT_SHARE:.0%} of this night are {limit:.0f} s",
        )
    while True:
        more = (test + (test < MAX_TEST_PAIRS), transfer + (wanted > 0 and transfer < MAX_TRANSFER_PAIRS))
        cost = more[0] * seconds_per_test_pair + more[1] * transfer_cost
        if more == (test, transfer) or cost > CHEAP_SHARE * night_seconds:
            break
        test, transfer = more
    return ConfirmationPlan(
        test_pairs=test, transfer_pairs=transfer, seconds=test * seconds_per_test_pair + transfer * transfer_cost, fits=True
    )
