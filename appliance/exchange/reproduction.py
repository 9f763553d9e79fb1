"""What a reproduction came to: the record for programs, JUnit XML for CI, Markdown for people."""

import re
from typing import Literal
from xml.etree import ElementTree

from appliance.records import FORMAT_VERSION, Device, Estimate, Reason, Record, Telemetry
from appliance.records.base import Count, NonNegative, PositiveInt

Answer = Literal["reproduced", "not reproduced", "not comparable"]

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for, escaped or not."""


class FreshRun(Record, frozen=True, kw_only=True):
    """One run of the reproduction; a disturbed one too, which is repeated and does not count."""

    asset: Literal["baseline", "winner"]
    pair: PositiveInt
    seed: Count
    status: str
    reason: Reason | None = None
    detail: str | None = None
    score: float | None = None
    """On test; None where the run is not ok."""
    started_at: str
    startup_s: NonNegative | None = None
    budget_s: NonNegative | None = None
    wall_s: NonNegative | None = None
    observables: dict[str, float]
    telemetry: Telemetry


class Reproduction(Record, frozen=True, kw_only=True):
    """What fresh runs say of a bundle's claim."""

    format_version: int = FORMAT_VERSION
    answer: Answer
    sentence: str
    """The answer's reason with its numbers, in one line."""
    bundle_sha256: str
    night_id: str
    task: str
    preset_name: str
    metric: str
    unit: str
    device: Device
    """What it ran on here."""
    differs: list[str]
    """What else is not as it was for the bundle's night (image, isolation, versions): said, not judged."""
    declared: Estimate | None
    predicted: tuple[float, float] | None
    """Where the mean difference of this many fresh pairs was to lie, from the declared pairs alone; None where there are none."""
    measured: Estimate | None
    """None where a run failed."""
    runs: list[FreshRun]
    started_at: str
    wall_s: NonNegative


def junit(name: str, outcome: Answer | Literal["error"], sentence: str, wall_s: float = 0.0, started_at: str = "") -> bytes:
    """A suite of one case in the JUnit form that CI systems read: not reproduced is a failure, not comparable is skipped.

    Args:
        name: Of the case: the bundle.
        outcome: The answer; `error` where there is none.
        sentence: Why.
        wall_s: What it took. Seconds.
        started_at: ISO time, UTC; the form knows no offset.
    """
    kind = {"not reproduced": "failure", "not comparable": "skipped", "error": "error"}.get(outcome)
    counts = {"tests": "1", **{f"{what}s": str(int(kind == what)) for what in ("failure", "error")}, "skipped": str(int(kind == "skipped"))}
    times = {"time": f"{wall_s:.3f}", **({"timestamp": started_at[:19]} if started_at else {})}
    suites = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "appliance reproduce", **counts, **times})
    case = ElementTree.SubElement(suite, "testcase", classname="appliance.reproduce", name=_plain(name), time=times["time"])
    if kind:
        ElementTree.SubElement(case, kind, {"message": _plain(sentence), **({} if kind == "skipped" else {"type": outcome})})
    ElementTree.SubElement(case, "system-out").text = _plain(f"{outcome}: {sentence}")
    body: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def markdown(result: Reproduction) -> str:
    """The answer with everything it rests on, as a page of Markdown."""
    rows = [("bundle, SHA-256", result.bundle_sha256), ("night", result.night_id), ("task", f"{result.task}, preset {result.preset_name}")]
    rows.append(("device here", result.device.name))
    for label, estimate in (("declared", result.declared), ("measured here", result.measured)):
        if estimate:
            interval = f"{estimate.interval_low:+.5f} to {estimate.interval_high:+.5f}"
            rows.append((label, f"{estimate.difference:+.5f} ({interval}), {estimate.pairs} pairs; {estimate.method}"))
    if result.predicted:
        rows.append(("fresh mean was to lie in", f"{result.predicted[0]:+.5f} to {result.predicted[1]:+.5f}"))
    rows += [("differs", line) for line in result.differs]
    lines = [f"# {result.answer}", "", _cell(result.sentence), "", f"Winner minus baseline on test, {result.metric} in {result.unit}.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows), ""]
    lines += ["| pair | asset | seed | status | score | seconds |", "|---|---|---|---|---|---|"]
    for run in result.runs:
        what = run.status if run.reason is None else f"{run.status}: {run.reason}"
        score = "–" if run.score is None else f"{run.score:.5f}"
        lines.append(f"| {run.pair} | {run.asset} | {run.seed} | {what} | {score} | {'–' if run.wall_s is None else f'{run.wall_s:.1f}'} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def _cell(text: str) -> str:
    """A stranger's text inside a table: no cell, no tag, no link of its own."""
    return re.sub(r"([\\`*_{}\[\]<>|!#])", r"\\\1", " ".join(text.split()))
