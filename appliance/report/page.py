"""The report of a night: one self-contained HTML file, a pure function of the record."""

import os
from pathlib import Path

from appliance.records import Night
from appliance.report import clock, configuration, cost, diffs, numbers, observed, roofline, rows, sections, staircase, templates, verdict
from appliance.report.facts import Facts


def render(night: Night, *, live: bool = False, home: str | None = None, left_out: list[str] | None = None) -> str:
    """The page as text; the same record gives the same bytes.

    Args:
        night: all of it.
        live: the page of a night that still runs: it asks its own server for news.
        home: relative link back to a site's index, for published pages.
        left_out: what was stripped before publishing, one line each.
    """
    facts = Facts(night)
    head = verdict.of(facts)
    pairs, concerns = sections.integrity(facts)
    profile, attention = sections.profile(facts)
    assets = night.assets
    winning = ""
    if facts.winner is not None:
        before, after = assets.get(night.plan.baseline_sha256), assets.get(facts.winner.asset_sha256)
        winning = diffs.unified(before, after) if before and after else "\n".join(e.diff for e in facts.lineage)
    shown, cut = diffs.blocks(winning, max_chars=40_000) if winning else ([], 0)
    return templates.rendered(
        "report.html",
        verdict=head,
        facts=facts,
        plan=night.plan,
        state=night.state,
        live=live,
        home=home,
        left_out=left_out or [],
        title=head.short,
        glance=_glance(facts),
        use=sections.use(facts),
        stairs=staircase.build(facts),
        config=configuration.build(facts),
        attribution=sections.attribution(facts),
        diff=shown,
        diff_cut=cut,
        diff_size=diffs.changed_lines(winning),
        clock=clock.build(facts),
        table=rows.build(facts),
        profile=profile,
        attention=attention,
        roof=roofline.build(night.plan.profile, _heights(facts)),
        integrity=pairs,
        concerns=concerns,
        environment=sections.environment(facts),
        cost=cost.build(facts),
    )


def write(night: Night, path: Path) -> Path:
    """The page as a file: temporary name, fsync, rename. Returns `path`."""
    return write_text(render(night), path)


def write_text(text: str, path: Path) -> Path:
    """Any page, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _heights(facts: Facts) -> list[tuple[str, str, float]]:
    found = observed.observed(facts, "efficiency")
    peak = facts.plan.profile.peak_flops
    if found is None or not peak:
        return []
    _, unit, before, after = found
    heights = []
    for kind, word, value in (("reference", "reference", before), ("winner", "winner", after if facts.winner else None)):
        part = observed.share(value, unit)
        if part and part > 0:
            heights.append((kind, f"{word} {numbers.scaled(part * peak, 'FLOP/s')}", part * peak))
    return heights


def _glance(facts: Facts) -> list[tuple[str, str]]:
    """The strip under the verdict."""
    kept = facts.verdicts["kept"] + facts.verdicts["kept_simpler"]
    lost = facts.verdicts["failed"] + facts.verdicts["rejected"]
    untold = "preset.budget_s" in facts.plan.unknown
    facts_of = [
        ("Device", facts.plan.device.name),
        ("Night", f"{numbers.day(facts.plan.started_at)}, {numbers.duration(facts.elapsed_s)}" if facts.plan.started_at else "unknown"),
        ("Experiments", f"{len(facts.experiments)}, {kept} kept, {lost} failed or rejected"),
        ("Runs", str(len(facts.own)) + ("" if untold else f" of {numbers.duration(facts.plan.preset.budget_s)}")),
        ("Agent", facts.plan.agent),
    ]
    joules = [r.telemetry.energy_j for r in facts.own if r.telemetry.energy_j is not None]
    if joules:
        facts_of.append(("Energy", f"{numbers.significant(sum(joules) / 3.6e6)} kWh"))
    return facts_of
