"""Bandwidth and memory, visited between the other phases.

A hypervisor moves the cores of a virtual machine between its chips every few seconds. Cores that share a chip's link to the memory reach
two thirds of what they reach on links of their own, so one short look at a CPU finds either figure. Of looks spread over the whole
measurement, the one that found least is kept: what a run can count on wherever it is put. A GPU stays where it is and is visited once.
"""

import time
from collections.abc import Callable

import children

APART_S = {"quick": 4.0, "full": 20.0}
"""From the end of one visit to the next."""


class Visits:
    """The visits of one measurement."""

    def __init__(self, serve: children.Serve, request: dict, progress: Callable[[str], None]) -> None:
        self._serve, self._request, self._progress = serve, request, progress
        self._made: list[dict] = []
        self._last = 0.0

    def visit(self) -> None:
        """Measure, unless it is too early to come again."""
        cpu = self._request["device"] == "cpu"
        if self._made and (not cpu or time.monotonic() - self._last < APART_S[self._request["mode"]]):
            return
        self._progress("bandwidth, memory, launch overhead")
        self._made.append(children.one(self._serve, "bandwidth", self._request, self._progress, timeout_s=120))
        self._last = time.monotonic()

    def result(self) -> dict:
        """The last visit, with the bandwidth of the one that found least; what was wrong once, was wrong."""
        last = self._made[-1]
        moved, notes = {}, [note for visit in self._made for note in visit["notes"]]
        for kind in last["bandwidth"]:
            found = sorted((visit["bandwidth"][kind] for visit in self._made if kind in visit["bandwidth"]), key=_rate)
            moved[kind] = {**found[0], "verified": all(one["verified"] for one in found)}
            if len(found) > 1:
                notes.append(f"bandwidth {kind}: {_rate(found[0]) / 1e9:.4g} to {_rate(found[-1]) / 1e9:.4g} GB/s in {len(found)} visits")
        return {**last, "bandwidth": moved, "notes": list(dict.fromkeys(notes)), "disturbed": any(v["disturbed"] for v in self._made)}


def _rate(moved: dict) -> float:
    """Bytes/s of the best sample."""
    rate: float = moved["bytes"] / min(seconds for _, seconds, _ in moved["samples"])
    return rate
