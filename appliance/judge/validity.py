"""Whether a run counts, decided from the host's own readings before its score is read.

A run is invalid only where both are true: its throughput is below what its own configuration reaches on this machine, and something
outside its container can be named for it. Slow without a cause is the run's own doing and its own result; a cause without slowness did
no harm. A configuration that has no runs yet is compared with an expectation, roughly; there a gross cause counts by itself. An asset
cannot roll its dice again that way, because nothing it does is read as a cause. Pressure (PSI) is none: a run that starts more threads
than there are cores makes it itself; the share of others and of the hypervisor are measured outside the container. Memory is none
either: what others take of it ends a run or slows it by a cause that shows as theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from appliance.records import Reason, Telemetry

LIMIT_SHARE = 0.02
"""Throughput lost that is never called a departure. In 599 repeats of one script on a GB10, 2 % fewer steps cost 1.3 sd of the score."""
LIMIT_SPREADS = 4.0
"""Robust standard deviations below the median that are still normal, where they are wider than `LIMIT_SHARE`."""
LOSS_SHARE = 0.15
"""Throughput lost beside a cause that is never normal: the spread of two or three runs of a noisy hour says nothing."""
EXPECTED_SHARE = 0.3
"""The same for an expectation from the task's estimate, which knows a new configuration only roughly."""
OTHERS_SHARE = 0.08
"""Of the machine's core-seconds, above the normal runs' share: the host's own work takes 1 to 5 % of two cores."""
STEAL_SHARE = 0.03
CLOCK_SHARE = 0.9
"""Of the normal clock; below it the device was slowed."""
SUSPENDED_S = 1.0
GROSS = 1.5
"""Times the usual threshold: enough on its own where the configuration has no runs of its own to compare with."""

_EVENTS = (  # first match wins
    ("thermal", Reason.DISTURBED_THERMAL),
    ("power_brake", Reason.DISTURBED_POWER),
    ("hw_slowdown", Reason.DISTURBED_CLOCK),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Normal:
    """What undisturbed runs of one configuration look like on this machine."""

    throughput: float | None
    """Median, in the task's own unit of throughput or progress; None where the task reports none."""
    limit: float | None
    """Below it a run departs from normal."""
    same_configuration: bool
    """From runs of the very asset; else an expectation, and clocks are not compared."""
    sm_clock_mhz: float | None = None
    cpu_frequency_mhz: float | None = None
    cpu_others_share: float = 0.0
    cpu_steal_share: float = 0.0
    events: frozenset[str] = frozenset()
    """Clock events that most of the runs show: the machine's usual state."""


def throughput_limit(first: Sequence[float]) -> float:
    """The throughput below which a run departs, from the first runs of a configuration (at least one); needs no other reading.

    Median less the larger of `LIMIT_SHARE` of it and `LIMIT_SPREADS` robust sd (1.4826 × median absolute deviation), at most `LOSS_SHARE`.
    """
    middle = median(first)
    spread = 1.4826 * median(abs(value - middle) for value in first)
    return middle - min(max(LIMIT_SHARE * middle, LIMIT_SPREADS * spread), LOSS_SHARE * middle)


def slow(throughput: Sequence[float], limit: float) -> list[bool]:
    """Per run: below the limit."""
    return [value < limit for value in throughput]


def normal(throughputs: Sequence[float], telemetry: Sequence[Telemetry]) -> Normal | None:
    """Normal of a configuration from its own valid runs; None without any."""
    if not telemetry:
        return None
    return Normal(
        throughput=median(throughputs) if throughputs else None,
        limit=throughput_limit(throughputs) if throughputs else None,
        same_configuration=True,
        sm_clock_mhz=_median([one.sm_clock_mhz_median for one in telemetry]),
        cpu_frequency_mhz=_median([one.cpu_frequency_mhz_median for one in telemetry]),
        cpu_others_share=_median([one.cpu_others_share for one in telemetry]) or 0.0,
        cpu_steal_share=_median([one.cpu_steal_share for one in telemetry]) or 0.0,
        events=frozenset(
            event
            for event in {event for one in telemetry for event in one.events}
            if sum(event in one.events for one in telemetry) * 2 > len(telemetry)
        ),
    )


def expected(estimate: float | None, calibration_estimate: float | None, calibration: Normal) -> Normal:
    """Normal of a configuration that has not run: its estimated throughput, scaled by what calibration reached of its own estimate.

    None for either estimate: the task has none; what is usual on this machine is known all the same.
    """
    scale = calibration.throughput / calibration_estimate if calibration.throughput and calibration_estimate else None
    throughput = estimate * scale if scale and estimate else None
    return Normal(
        throughput=throughput,
        limit=throughput * (1 - EXPECTED_SHARE) if throughput else None,
        same_configuration=False,
        cpu_others_share=calibration.cpu_others_share,
        cpu_steal_share=calibration.cpu_steal_share,
        events=calibration.events,
    )


def causes(telemetry: Telemetry, normal: Normal | None, *, gross: bool = False) -> list[Reason]:
    """What outside the run's container disturbed the machine while it lasted, most telling first."""
    factor = GROSS if gross else 1.0
    found: list[Reason] = []
    if telemetry.suspended_s > SUSPENDED_S:
        found.append(Reason.DISTURBED_SUSPEND)
    if telemetry.other_processes:
        found.append(Reason.DISTURBED_CONTENTION)
    if _above(telemetry.cpu_others_share, normal.cpu_others_share if normal else 0.0, OTHERS_SHARE * factor):
        found.append(Reason.DISTURBED_CONTENTION)
    if _above(telemetry.cpu_steal_share, normal.cpu_steal_share if normal else 0.0, STEAL_SHARE * factor):
        found.append(Reason.DISTURBED_STEAL)
    usual = normal.events if normal else frozenset()
    for event in telemetry.events:
        reason = next((reason for word, reason in _EVENTS if word in event), None)
        if reason and event not in usual:
            found.append(reason)
    if (
        normal
        and normal.same_configuration
        and (
            _slowed(telemetry.sm_clock_mhz_median, normal.sm_clock_mhz)
            or _slowed(telemetry.cpu_frequency_mhz_median, normal.cpu_frequency_mhz)
        )
    ):
        found.append(Reason.DISTURBED_CLOCK)
    return list(dict.fromkeys(found))


def disturbance(telemetry: Telemetry, throughput: float | None, normal: Normal | None) -> Reason | None:
    """The cause for which a run is invalid, or None where it counts.

    throughput: what this run reached, in the unit of `normal`; None where it did not get so far or the task reports none.
    """
    if telemetry.suspended_s > SUSPENDED_S:
        return Reason.DISTURBED_SUSPEND
    slower = throughput < normal.limit if normal is not None and normal.limit is not None and throughput is not None else None
    exact = slower is not None and normal is not None and normal.same_configuration
    if exact and not slower:
        return None
    found = causes(telemetry, normal, gross=not slower)
    return found[0] if found else None


def _above(value: float | None, usual: float, threshold: float) -> bool:
    return value is not None and value - usual > threshold


def _slowed(value: float | None, usual: float | None) -> bool:
    return value is not None and usual is not None and value < CLOCK_SHARE * usual


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
