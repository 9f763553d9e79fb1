"""Hand a measurement on: out without what identifies a person or machine, in only after it was verified. And what two of them differ in."""

import re
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import UsageError
from appliance.profiles.canonical import canonical_sha256, plain
from appliance.profiles.files import own_root, read_measurement, store, write_json
from appliance.profiles.probed import NOT_SHARED
from appliance.profiles.verify import headline, verify, verify_file
from appliance.records import Measurement

_ENVIRONMENT = (
    "driver",
    "cuda",
    "cudnn",
    "torch",
    "python",
    "image_digest",
    "isolation",
    "threads",
    "kind",
    "cpu_capability",
    "attention_dtype",
)
_ENVIRONMENT_MORE = ("compute_capability", "torch_architectures", "native_code", "device_name", "data_seed")
"""Everything else in an environment could be anything, and is left out."""

_KERNEL = re.compile(r"^\d+\.\d+(\.\d+)?")


def export(path: Path, target: Path) -> list[str]:
    """Write a shareable copy of a measurement below `target` and say what was taken out and where it lies.

    Raises:
        UsageError: it does not pass `verify`; nothing was written.
    """
    measurement, stripped = strip(read_measurement(path))
    _refuse(path, [finding for finding in verify(measurement) if finding.severity == "error"])
    where = store(measurement, target)
    return [*(f"left out: {line}" for line in stripped), f"written: {where}"]


def strip(measurement: Measurement) -> tuple[Measurement, list[str]]:
    """A copy with a new hash, without what identifies a person or machine; and what that was."""
    body: dict[str, Any] = plain(measurement)
    stripped = [f"device.{name}" for name in NOT_SHARED if body["device"].pop(name, None) is not None]
    for name in sorted(body["environment"]):
        if name not in (*_ENVIRONMENT, *_ENVIRONMENT_MORE):
            del body["environment"][name]
            stripped.append(f"environment.{name}")
    if body["device"].get("kind") == "cpu":
        for place in ("device", "environment"):
            release = body[place].get("driver")
            short = _KERNEL.match(release or "")
            if short and short.group() != release:
                body[place]["driver"] = short.group()
                stripped.append(f"{place}.driver: the kernel's local version")
    text = [note for note in body["notes"] if "/" in note or "\\" in note]
    if text:
        body["notes"] = [note for note in body["notes"] if note not in text]
        stripped.append(f"notes: {len(text)} that could hold a path")
    if body["device"].get("refused"):
        body["device"]["refused"] = {}
        stripped.append("device.refused")
    others = sum(1 for row in body["telemetry"] if row.pop("others", None) is not None)
    if others:
        stripped.append("telemetry.others")
    if body["measured_at"][10:]:
        body["measured_at"] = body["measured_at"][:10]
        stripped.append("measured_at: the time of day")
    body["sha256"] = canonical_sha256(body)
    return msgspec.convert(body, Measurement), stripped


def import_(path: Path, root: Path | None = None) -> Path:
    """Take in somebody else's measurement; returns where it lies now.

    Raises:
        UsageError: it does not pass `verify`, or is already there; nothing was written.
    """
    findings = verify_file(path)
    _refuse(path, [finding for finding in findings if finding.severity == "error"])
    measurement = read_measurement(path)
    target = root or own_root()
    there = list(target.glob(f"*/*/*-{(measurement.sha256 or '')[:8]}.json"))
    if there:
        raise UsageError(f"{path.name}: is already there as {there[0].name}.")
    return store(measurement, target)


def diff(one: Measurement, other: Measurement) -> list[str]:
    """What changed from one measurement to the other: figures in percent, attention winners, environment and device by name."""
    lines = []
    before, after = headline(one), headline(other)
    for field in sorted({*before, *after}):
        a, b = before.get(field), after.get(field)
        if a is None or b is None:
            lines.append(f"{field}: {'only in the second' if a is None else 'only in the first'}")
        else:
            lines.append(f"{field}: {a:.4g} → {b:.4g} ({b / a - 1:+.1%})")
    winners = [{(w["head_dim"], w["window"]): w["backend"] for w in m.attention_winners} for m in (one, other)]
    cases = [case for case in sorted({*winners[0], *winners[1]}, key=str) if winners[0].get(case) != winners[1].get(case)]
    lines += [f"attention {case}: {winners[0].get(case)} → {winners[1].get(case)}" for case in cases]
    for name, a_side, b_side in (("environment", one.environment, other.environment), ("device", one.device, other.device)):
        lines += [
            f"{name}.{key}: {a_side.get(key)} → {b_side.get(key)}"
            for key in sorted({*a_side, *b_side})
            if a_side.get(key) != b_side.get(key)
        ]
    return lines


def contradicts(newer: Measurement, used: Measurement, tolerance: float = 0.1) -> list[str]:
    """Figures of a newer measurement that differ from those in use by more than the tolerance; for `doctor`."""
    ours = headline(used)
    return [
        f"{field}: {value:.4g} was measured at {newer.measured_at}, the profile in use says {ours[field]:.4g}"
        for field, value in headline(newer).items()
        if field in ours and abs(value / ours[field] - 1) > tolerance
    ]


def write_index(index: dict[str, Any], path: Path) -> None:
    """The index as JSON, whole or not at all."""
    write_json(path, index)


def _refuse(path: Path, errors: list[Any]) -> None:
    if errors:
        told = "; ".join(f"{finding.field}: {finding.text}" for finding in errors[:5])
        more = f" (and {len(errors) - 5} more)" if len(errors) > 5 else ""
        raise UsageError(f"{path.name}: refused: {told}{more}. Nothing was written.")
