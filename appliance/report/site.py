"""The published site: static files with relative links only, so that it works from any folder and on any static host.

    index.html  index.json           every device kind: best configuration, gain, date, reproduced or not
    devices/<slug>/index.html        its nights and its profile; profile.json beside it
    nights/<id>/report.html          the reports, private things stripped and listed

Incremental: `index.json` remembers the fingerprint that each report was made from, so a night that did not change is not even read.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.errors import ApplianceError, UsageError
from appliance.records import FORMAT_VERSION, Night, Profile
from appliance.report import configuration, numbers, page, private, roofline, templates, verdict
from appliance.report.facts import Facts, Gain

_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_LAYOUT: Final = "2"
"""Counts up when an entry of index.json changes its shape, so that old ones are made again."""


@dataclass(frozen=True, slots=True)
class Source:
    """A night to publish, read only when its fingerprint is new."""

    night_id: str
    fingerprint: str
    load: Callable[[], Night]

    @classmethod
    def of(cls, night: Night) -> "Source":
        """A night already in memory."""
        return cls(night.plan.night_id, hashlib.sha256(msgspec.json.encode(night)).hexdigest(), lambda: night)


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` did."""

    site: Path
    index: Path
    made: list[str]
    kept: list[str]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Night → what was stripped from it."""


def fingerprint(folder: Path) -> str:
    """Of a night's folder, without reading it: names, sizes and times of the files that a report is made from."""
    digest = hashlib.sha256()
    for file in sorted(
        [folder / "night.json", folder / "journal.db", *(folder / "runs").glob("*.parquet"), *(folder / "experiments").glob("*.parquet")]
    ):
        if file.exists():
            stat = file.stat()
            digest.update(f"{file.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def publish(site: Path, nights: Iterable[Source | Night], *, reproduced: Mapping[str, str] | None = None) -> Published:
    """Adds nights to a site, or makes it.

    Args:
        site: folder; made if missing. A folder with other things in it and no index.json of ours is refused.
        nights: sources, or nights in memory.
        reproduced: night id → `reproduced`, `not reproduced` or `not comparable`.

    Raises:
        UsageError: the folder is not a site, or a night's id is no file name.
    """
    before = _previous(site)
    style = templates.fingerprint() + _LAYOUT
    made, kept, left_out = [], [], {}
    entries: dict[str, dict[str, Any]] = dict(before)
    profiles: dict[str, Profile] = {}
    for given in nights:
        source = given if isinstance(given, Source) else Source.of(given)
        if not _SAFE.fullmatch(source.night_id):
            raise UsageError(f"night id {source.night_id!r} cannot be a folder's name: letters, digits, dot, dash and underscore only")
        mark = hashlib.sha256((source.fingerprint + style).encode()).hexdigest()
        file = site / "nights" / source.night_id / "report.html"
        old = before.get(source.night_id)
        if old is not None and old.get("fingerprint") == mark and file.exists():
            kept.append(source.night_id)
            continue
        night, lines = private.stripped(source.load())
        slug = night.plan.device.slug
        if not _SAFE.fullmatch(slug):
            raise UsageError(f"night {source.night_id}: device slug {slug!r} cannot be a folder's name")
        page.write_text(page.render(night, home="../../index.html", left_out=lines), file)
        entries[source.night_id] = {**entry(Facts(night)), "fingerprint": mark, "left_out": lines}
        profiles[slug] = _newer(profiles.get(slug), night.plan.profile)
        made.append(source.night_id)
        left_out[source.night_id] = lines
    for night_id, said in (reproduced or {}).items():
        if night_id in entries:
            entries[night_id] = {**entries[night_id], "reproduced": said}
    index = _write_pages(site, entries, profiles)
    return Published(site, index, made, kept, left_out)


def entry(facts: Facts) -> dict[str, Any]:
    """One night as index.json has it: numbers raw, texts ready."""
    head = verdict.of(facts)
    test = facts.estimate("test")
    gain = test or (None if facts.plan.imported else facts.search_gain)
    before, after = configuration.configurations(facts)
    status = "imported" if facts.plan.imported else (facts.confirmation.status if facts.confirmation else "not_run")
    return {
        "night_id": facts.plan.night_id,
        "report": f"nights/{facts.plan.night_id}/report.html",
        "device": facts.plan.device.name,
        "device_slug": facts.plan.device.slug,
        "task": facts.plan.task.name,
        "preset": facts.plan.preset_name,
        "metric": facts.metric.name,
        "direction": facts.metric.direction,
        "agent": facts.plan.agent,
        "date": facts.plan.started_at,
        "status": status,
        "held": bool(status == "confirmed" and test and test.holds),
        "relative": _plain(gain.relative if gain else None),
        "absolute": bool(gain and gain.absolute),
        "relative_low": _plain(gain.low if gain else None),
        "relative_high": _plain(gain.high if gain else None),
        "split": gain.split if gain else None,
        "experiments": len(facts.experiments),
        "runs": len(facts.runs),
        "constants": {k: v for k, v in after.items() if before.get(k) != v},
        "verdict": f"{head.hero} {head.sentence}",
        "reproduced": None,
        "profile_sha256": facts.plan.profile.sha256,
    }


def _plain(value: float | None) -> float | None:
    return value if numbers.known(value) else None


def _previous(site: Path) -> dict[str, dict[str, Any]]:
    index = site / "index.json"
    if not index.exists():
        if site.is_dir() and any(p.name not in {".git", ".nojekyll", "CNAME", "README.md"} for p in site.iterdir()):
            raise UsageError(f"{site} holds files and no index.json of a site: name an empty folder, or one that publish made")
        return {}
    try:
        data = json.loads(index.read_text(encoding="utf-8"))
        version, nights = data["format_version"], {n["night_id"]: n for n in data["nights"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ApplianceError(f"{index} is damaged ({error}): delete it, and publish every night again") from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ApplianceError(f"{index} was written by a newer version (format {version}): update the appliance")
    return {
        k: n
        for k, n in nights.items()
        if _SAFE.fullmatch(k) and isinstance(n.get("device_slug"), str) and _SAFE.fullmatch(n["device_slug"])
    }


def _newer(old: Profile | None, new: Profile) -> Profile:
    if old is None or old.measurement is None:
        return new
    return new if new.measurement is not None and new.measurement.measured_at >= old.measurement.measured_at else old


def _write_pages(site: Path, entries: dict[str, dict[str, Any]], profiles: dict[str, Profile]) -> Path:
    nights = sorted(entries.values(), key=lambda n: (str(n["date"]), str(n["night_id"])), reverse=True)
    devices = []
    for slug in sorted({n["device_slug"] for n in nights}):
        own = [n for n in nights if n["device_slug"] == slug]
        profile = _profile(site, slug, profiles.get(slug))
        best = _best(own)
        devices.append(
            {
                "slug": slug,
                "name": own[0]["device"],
                "nights": len(own),
                "best": best["night_id"] if best else None,
                "page": f"devices/{slug}/index.html",
                "profile": f"devices/{slug}/profile.json" if profile else None,
            }
        )
        html = templates.rendered(
            "device.html",
            name=own[0]["device"],
            rows=[_shown(n) for n in own],
            best=_shown(best) if best else None,
            profile=_profile_pairs(profile),
            roof=roofline.build(profile, []) if profile else None,
        )
        _write_changed(site / "devices" / slug / "index.html", html)
    index = {"format_version": FORMAT_VERSION, "devices": devices, "nights": nights}
    by_id = {n["night_id"]: n for n in nights}
    shown = [
        {
            **d,
            "best": _shown(by_id[d["best"]]) if d["best"] else None,
            "latest": _shown(next(n for n in nights if n["device_slug"] == d["slug"])),
        }
        for d in devices
    ]
    _write_changed(
        site / "index.html", templates.rendered("site.html", devices=shown, rows=[_shown(n) for n in nights[:400]], total=len(nights))
    )
    _write_changed(site / ".nojekyll", "")
    _write_changed(site / "index.json", json.dumps(index, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return site / "index.html"


def _write_changed(path: Path, text: str) -> None:
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    page.write_text(text, path)


def _profile(site: Path, slug: str, new: Profile | None) -> Profile | None:
    file = site / "devices" / slug / "profile.json"
    old = None
    if file.exists():
        try:
            old = msgspec.json.decode(file.read_bytes(), type=Profile)
        except msgspec.MsgspecError:
            old = None
    if new is None:
        return old
    chosen = _newer(old, new)
    _write_changed(file, msgspec.json.format(msgspec.json.encode(chosen), indent=1).decode() + "\n")
    return chosen


def _profile_pairs(profile: Profile | None) -> list[tuple[str, str]]:
    if profile is None:
        return []
    pairs = [
        ("Matrix rate", numbers.scaled(profile.peak_flops, "FLOP/s")),
        ("Bandwidth", numbers.scaled(profile.bandwidth_bytes_per_s, "B/s")),
        ("Usable memory", numbers.scaled(profile.usable_memory_bytes, "B")),
        ("Attention", profile.attention_backend or numbers.UNKNOWN),
    ]
    if profile.measurement:
        pairs.append(("Measured", f"{numbers.day(profile.measurement.measured_at)}, benchmark {profile.measurement.benchmark_version}"))
    return pairs


def _best(nights: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of one device kind: the night whose confirmed interval is farthest from zero at its near end."""
    held = [n for n in nights if n["held"] and n["relative_low"] is not None and n["relative_high"] is not None]
    return max(held, key=lambda n: min(abs(n["relative_low"]), abs(n["relative_high"])), default=None)


_STATUS: Final = {
    "confirmed": "held on test",
    "not_confirmed": "did not survive",
    "not_run": "not confirmed",
    "no_winner": "no gain",
    "imported": "imported, unverified",
}


def _shown(n: dict[str, Any]) -> dict[str, Any]:
    gain = None
    if n["relative"] is not None and n["status"] != "no_winner":
        gain = Gain(n["relative"], n["relative_low"], n["relative_high"], n["split"] or "", 0, n["held"], "", absolute=n["absolute"])
    changed = [f"{name} {numbers.literal(value)}" for name, value in n["constants"].items()]
    return {
        **n,
        "gain": verdict.signed(gain)[0] if gain else numbers.UNKNOWN,
        "span": verdict.signed(gain)[1] if gain else numbers.UNKNOWN,
        "day": numbers.day(n["date"]),
        "iso": n["date"],
        "said": _STATUS.get(n["status"], n["status"]),
        "changed": changed[:6],
        "more": max(0, len(changed) - 6),
        "repeated": n["reproduced"] or "not yet",
    }
