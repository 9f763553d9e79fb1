"""The quieter sections: how to use it, attribution, integrity, environment. Lists of (label, text) for the templates."""

import shlex
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from appliance.records import Reason, Run
from appliance.report import numbers
from appliance.report.facts import Facts

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Use:
    """What to run."""

    commands: list[tuple[str, str]]
    """(what it does, the command)."""
    note: str = ""


def use(facts: Facts) -> Use:
    """To use the result, to reproduce it, to run the night again."""
    night = f"nights/{facts.plan.night_id}"
    commands = []
    if facts.winner is not None and not facts.plan.imported:
        files = " ".join(shlex.quote(f"{night}/winner/{name}") for name in facts.plan.task.asset.files)
        commands = [
            ("Use it: the winner's own files", f"cp {files} ."),
            ("Start the next night from it", f"appliance overnight --from {shlex.quote(night)}"),
            ("Pack it for someone else to run again", f"appliance bundle {shlex.quote(night)}"),
        ]
        if facts.confirmation and facts.confirmation.status == "not_run" and facts.state.ended_at:
            commands.insert(0, ("Confirm it: the night had no time for enough fresh pairs", f"appliance confirm {shlex.quote(night)}"))
    if facts.plan.command:
        commands.append(("Repeat this night", shlex.join(facts.plan.command)))
    note = ""
    if facts.plan.imported:
        note = "Imported: there is no asset of this night to run."
    elif facts.winner is None:
        note = "There is no winner to use."
    return Use(commands, note)


@dataclass(frozen=True, slots=True)
class Part:
    """One change of the winner."""

    change: str
    experiment: int | None
    effect: str
    span: str
    runs: str = ""
    """Of the winner without it."""
    share: str = ""
    reading: str = ""
    """What the interval says, and what stood in the way."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """The section; `measured` tells removal in turn from the chain of verdicts."""

    measured: bool
    parts: list[Part] = field(default_factory=list)
    smallest: str = ""
    """The smallest effect worth having."""


def attribution(facts: Facts) -> Attribution:
    """Each change removed in turn where that was run; else the steps as they were judged, which is not the same and is said."""
    parts = [_removed(facts, row) for row in facts.state.attribution]
    if parts:
        return Attribution(True, parts, f"{numbers.literal(facts.metric.smallest_effect)} {facts.metric.unit}")
    chain = []
    for e in facts.lineage if any(numbers.known(e.difference) for e in facts.lineage) else []:
        effect, span = numbers.with_interval(e.difference, e.interval_low, e.interval_high)
        chain.append(Part(e.hypothesis[:200], e.experiment, effect, span))
    return Attribution(False, chain)


def _removed(facts: Facts, row: dict[str, Any]) -> Part:
    told = (row.get(name) for name in ("loss", "interval_low", "interval_high", "share"))
    value, low, high, share = (number if isinstance(number, int | float) else None for number in told)
    effect, span = numbers.with_interval(value, low, high)
    change = str(row.get("change") or row.get("hypothesis") or "")
    number = row.get("experiment")
    if not isinstance(number, int) and change.isdigit():
        number = int(change)
    if isinstance(number, int) and number in facts.by_number and (not change or change.isdigit()):
        change = facts.by_number[number].hypothesis
    return Part(
        change[:200],
        number if isinstance(number, int) else None,
        effect,
        span,
        str(row["runs"]) if isinstance(row.get("runs"), int) else "",
        numbers.percent(share) if share is not None else "",
        ": ".join(str(said)[:200] for said in (row.get("reading"), row.get("note")) if said),
    )


_ISOLATION = {"docker": "every run in a disposable container without network", "none": "none: runs were plain processes on the host"}


@dataclass(frozen=True, slots=True)
class Concern:
    """One line of integrity that a reader should see."""

    experiment: int
    run: int
    kind: str
    what: str


def integrity(facts: Facts) -> tuple[Pairs, list[Concern]]:
    """Counts, and each rejected or suspicious run by number."""
    invalid = Counter(_plain(r.reason).removeprefix("disturbed ") for r in facts.runs if r.status == "invalid")
    failed = Counter(_plain(r.reason) for r in facts.runs if r.status == "failed")
    doubts = Counter(_plain(name)[:60] for r in facts.runs for name in r.suspicious)
    false = facts.state.expected_false_keeps
    kept = facts.verdicts["kept"] + facts.verdicts["kept_simpler"]
    pairs = [
        (
            "Expected false keeps",
            f"{numbers.significant(false, 2)}, by the rule's error rate; {kept} were kept" if false is not None else "unknown",
        ),
        (
            "Noise of one run",
            f"sd {numbers.significant(facts.noise[0], 2)} {facts.metric.unit} ({facts.noise[1]} degrees of freedom)"
            if facts.noise
            else "unknown",
        ),
        ("Failed", _counted(facts.statuses["failed"], failed)),
    ]
    uses = facts.plan.test_split_uses
    if facts.plan.imported:
        pairs.append(("Rejected, suspicious, invalid, interrupted", "unknown: imported"))
        pairs.append(("Isolation, earlier uses of the test split", "unknown: imported"))
    else:
        pairs += [
            ("Rejected", numbers.plural(facts.statuses["rejected"], "run")),
            ("Suspicious", _counted(sum(bool(r.suspicious) for r in facts.runs), doubts)),
            ("Invalid, and repeated", _counted(facts.statuses["invalid"], invalid)),
            ("Interrupted", numbers.plural(facts.statuses["interrupted"], "run")),
            ("Isolation", _ISOLATION[facts.plan.isolation]),
            ("Test split used before", numbers.plural(uses, "night") + (" on this machine" if uses else "")),
        ]
    failures = sum(r.sandbox_failures for r in facts.runs)
    if failures:
        pairs.append(("Sandbox failures, run again", numbers.plural(failures, "time")))
    if facts.state.cuts:
        pairs.append(("Interrupted and resumed", numbers.plural(len(facts.state.cuts), "time")))
    if facts.plan.parent_night:
        pairs.append(("Continues", facts.plan.parent_night))
    return pairs, _concerns(facts)[:60]


def _concerns(facts: Facts) -> list[Concern]:
    return [Concern(r.experiment, r.run, r.kind, _concern(r)) for r in facts.runs if r.status == "rejected" or r.suspicious]


def _concern(run: Run) -> str:
    names = ", ".join(_plain(name) for name in run.suspicious)
    if run.reason == Reason.SUSPICIOUS:
        what = "suspicious again, so rejected" if run.status == "rejected" else "suspicious, so repeated once with another seed"
        return f"{what}: {(run.detail or names)[:300]}"
    said = [f"rejected: {_plain(run.reason)}" + (f", {run.detail[:200]}" if run.detail else "")] if run.status == "rejected" else []
    return "; ".join([*said, *([f"suspicious: {names}"] if names else [])])


def _plain(name: str | None) -> str:
    """A name of ours as words."""
    return (name or "no reason given").replace("_", " ")


def _counted(total: int, causes: Counter[str]) -> str:
    if not total:
        return "0 runs"
    return f"{numbers.plural(total, 'run')}: " + ", ".join(
        f"{cause} {count}" for cause, count in sorted(causes.items(), key=lambda p: (-p[1], p[0]))
    )


def environment(facts: Facts) -> Pairs:
    """What the numbers were made with; what an imported file does not tell is left out."""
    plan, device = facts.plan, facts.plan.device
    run = next((r for r in facts.runs if r.torch), None)
    if plan.imported:
        told = [("Task", plan.task.name), ("Agent", plan.agent), ("Started", numbers.minute(plan.started_at) if plan.started_at else "")]
        told += [("Device", device.name if "device" not in plan.unknown else ""), *sorted(plan.versions.items())]
        return [(label, text) for label, text in told if text] + [("Not told by the file", ", ".join(plan.unknown) or "nothing")]
    pairs = [
        ("Device", device.name),
        ("Kind", device.kind + (f", compute capability {device.compute_capability}" if device.compute_capability else "")),
        ("Cores", str(device.cores or "")),
        ("Memory", numbers.scaled(device.memory_total_bytes, "B") if device.memory_total_bytes else ""),
        ("Driver", device.driver or ""),
        ("CUDA", device.cuda or ""),
        ("Power limit", f"{device.power_limit_w:.0f} W" if device.power_limit_w else ""),
        ("Task", f"{plan.task.name} {plan.task.version}, preset {plan.preset_name}"),
        ("Data", plan.preset.dataset),
        ("Budget of one run", numbers.duration(plan.preset.budget_s)),
        ("Agent", plan.agent),
        ("Seed", str(plan.seed)),
        ("Runtime in the image", run.torch or "" if run else ""),
        *((name, version) for name, version in sorted(plan.versions.items())),
        ("Task sha256", plan.task_sha256),
        ("Image", plan.image_digest or "none"),
        ("Data sha256", plan.data_sha256 or "unknown"),
        ("Profile sha256", plan.profile.sha256),
        ("Reference sha256", plan.reference_sha256),
        ("Winner sha256", facts.winner.asset_sha256 if facts.winner else ""),
        ("Started", numbers.minute(plan.started_at)),
        ("Ended", numbers.minute(facts.state.ended_at) if facts.state.ended_at else "not yet"),
        ("Ended because", facts.state.ended_why or ""),
    ]
    return [(label, text) for label, text in pairs if text]


def profile(facts: Facts) -> tuple[Pairs, list[dict[str, str]]]:
    """Rates with their sources, and the attention backends that were tried."""
    p = facts.plan.profile
    sheet = p.datasheet.values if p.datasheet else {}
    m = p.measurement

    def beside(value: float | None, key: str, unit: str) -> str:
        said = sheet.get(key)
        if said is None or said.value is None or not value:
            return numbers.scaled(value, unit)
        return f"{numbers.scaled(value, unit)}, {numbers.percent(value / said.value)} of the datasheet's {numbers.scaled(said.value, unit)}"

    pairs = [
        ("Peak matrix rate", beside(p.peak_flops, "bf16_flops", "FLOP/s") + (f" ({p.peak_source})" if p.peak_source else "")),
        ("Memory bandwidth", beside(p.bandwidth_bytes_per_s, "bandwidth_bytes_per_s", "B/s")),
        ("Usable memory", numbers.scaled(p.usable_memory_bytes, "B")),
    ]
    if m:
        pairs += [
            (
                f"Matrix products, {r.dtype}",
                numbers.scaled(r.flops, "FLOP/s")
                + (f", sustained {numbers.scaled(r.sustained_flops, 'FLOP/s')}" if r.sustained_flops else ""),
            )
            for r in m.matrix
        ]
        pairs += [
            (
                "Launch overhead",
                numbers.scaled(m.launch_overhead_s, "s")
                if m.launch_overhead_s is None or m.launch_overhead_s >= 1
                else f"{m.launch_overhead_s * 1e6:.1f} µs",
            ),
            ("Container start-up", numbers.duration(m.container_startup_s)),
            (
                "Measured",
                f"{numbers.day(m.measured_at)}, {m.mode}, benchmark {m.benchmark_version}"
                + (", while the device was shared" if m.shared_device else ""),
            ),
        ]
    pairs += [("Note", note) for note in p.notes]
    attention = [
        {
            "backend": a.backend,
            "case": f"head {a.head_dim}, " + (f"window {a.window}" if a.window else "full"),
            "result": "accepted" if a.accepted else f"rejected: {a.reason or 'no reason given'}"[:200],
            "forward": f"{a.forward_s * 1e3:.2f}" if a.forward_s else numbers.UNKNOWN,
            "backward": f"{a.backward_s * 1e3:.2f}" if a.backward_s else numbers.UNKNOWN,
        }
        for a in (m.attention if m else [])
    ]
    return [(label, text) for label, text in pairs if text], attention[:40]
