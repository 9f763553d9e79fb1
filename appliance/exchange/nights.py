"""A table of someone else's → a night that is marked imported.

The first row with a score, where it was kept, is their baseline: every script of this family starts so. A score of 0 is no score (what the
scripts write for a crash). A keep that is worse than the best before it stays a keep, as the file says, but the best stays the incumbent.
"""

import datetime
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from appliance.exchange import words
from appliance.exchange.grammar import Cells
from appliance.exchange.imported import ImportedRow
from appliance.exchange.table import Table
from appliance.exchange.text import Line
from appliance.records import (
    Asset,
    Command,
    Device,
    Experiment,
    Metric,
    Night,
    NightPlan,
    NightState,
    Observable,
    Preset,
    Profile,
    Reason,
    Run,
    Task,
    Verdict,
)

_KEPT = frozenset({Verdict.KEPT, Verdict.KEPT_SIMPLER})
_NOBODY_TOLD = ["hours", "seed", "isolation", "device.kind", "profile", "task.asset", "task.metric.smallest_effect"]
_ROLES = {
    "steps": Observable(unit="steps", role="progress", label="Optimiser steps"),
    "tokens": Observable(unit="tokens", role="progress", label="Tokens seen"),
    "tokens_per_s": Observable(unit="tokens/s", role="throughput", label="Throughput", better="higher"),
    "mfu": Observable(unit="share", role="efficiency", label="Model FLOPs utilisation", better="higher"),
    "params": Observable(unit="parameters", role="size", label="Parameters"),
    "peak_memory_bytes": Observable(unit="bytes", role="memory", label="Peak memory", better="lower"),
    "train_s": Observable(unit="s", role="other", label="Time trained"),
    "total_s": Observable(unit="s", role="other", label="Time in all"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A night and where its rows came from."""

    night: Night
    rows: list[ImportedRow]
    statuses: dict[str, int]
    compared: int


def night_of(table: Table, index: int, *, file: str, sha256: str, noise_sd: float | None, device: str | None) -> Made:
    """Interpret one table.

    Args:
        table: The rows, in the order of the file.
        index: Position of the table among those of its file.
        file: Name of the file.
        sha256: Of the file.
        noise_sd: Of one run, where the caller knows it.
        device: What it ran on, where the caller knows it.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", PurePath(file).stem.lower()).strip("-")[:40] or "file"
    night_id = f"00000000-000000-imported-{stem}-{index}-{sha256[:4]}"
    maker = _Maker(table=table, index=index, night_id=night_id, noise_sd=noise_sd, device=device or "unknown")
    for line, cells in table.rows:
        maker.add(line, cells)
    plan = _plan(table, maker, night_id, file, device)
    state = NightState(phase="imported", incumbent=maker.incumbent, incumbent_sha256=maker.commits.get(maker.incumbent))
    return Made(
        night=Night(plan=plan, state=state, runs=maker.runs, experiments=maker.experiments),
        rows=maker.rows,
        statuses=dict(maker.statuses),
        compared=maker.compared,
    )


@dataclass(kw_only=True, slots=True)
class _Maker:
    """Turns rows into runs and experiments, one after another."""

    table: Table
    index: int
    night_id: str
    noise_sd: float | None
    device: str
    runs: list[Run] = field(default_factory=list)
    experiments: list[Experiment] = field(default_factory=list)
    rows: list[ImportedRow] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    commits: dict[int, str] = field(default_factory=dict)
    incumbent: int = 0
    best: float | None = None
    compared: int = 0
    numbered: int = 0
    scored: bool = False

    @property
    def lower(self) -> bool:
        """Whether less is better."""
        return self.table.layout.score not in words.HIGHER

    def add(self, line: Line, cells: Cells) -> None:
        """Take one row."""
        notes: list[str] = []
        score = words.number_of(cells.score)
        if score == 0:
            score = None
            notes.append("a score of 0 is not taken as a score")
        elif cells.score and score is None:
            notes.append(f"score {cells.score!r} is no number")
        if cells.status:
            self.statuses[cells.status] += 1
        stated = words.verdict_of(cells.status)
        if not self.table.layout.judged or self.table.log:
            self._row(line, cells, self._run(cells, 0, score, self.table.failure), None, notes)
            return
        if score is not None and not self.scored and stated and stated[0] in _KEPT:
            self.scored, self.best = True, score
            self.commits[0] = cells.commit
            self._row(line, cells, self._run(cells, 0, score, None), 0, notes)
            return
        self.scored = self.scored or score is not None
        self.numbered += 1
        failure = stated[1] if stated else None
        run = self._run(cells, self.numbered, score, failure) if score is not None or failure else None
        if stated is None:
            notes.append(f"status {cells.status!r} is not known: no verdict" if cells.status else "no status: no verdict")
        else:
            self._experiment(cells, score, *stated, run, notes)
        self._row(line, cells, run, self.numbered if stated else None, notes)

    def _experiment(
        self, cells: Cells, score: float | None, verdict: Verdict, reason: Reason | None, run: Run | None, notes: list[str]
    ) -> None:
        parent = self.incumbent
        self.compared += score is not None and self.best is not None
        self.commits[self.numbered] = cells.commit
        if verdict in _KEPT and score is not None:
            if self.best is None or (score < self.best if self.lower else score > self.best):
                self.best, self.incumbent = score, self.numbered
            else:
                notes.append("kept, although no better than the best before it")
        self.experiments.append(
            Experiment(
                night_id=self.night_id,
                experiment=self.numbered,
                parent=parent,
                agent="not told",
                hypothesis=cells.description,
                diff="",
                asset_sha256=cells.commit,
                verdict=verdict,
                reason=_why(cells, verdict, reason),
                runs=[run.run] if run and run.status == "ok" else [],
                noise_sd=self.noise_sd,
                incumbent=self.incumbent,
                decided_at=_moment(cells.time),
            )
        )

    def _run(self, cells: Cells, experiment: int, score: float | None, failure: Reason | None) -> Run:
        observables = _observables(cells.numbers, self.table.layout.score)
        ok = score is not None and failure is None
        run = Run(
            night_id=self.night_id,
            experiment=experiment,
            run=len(self.runs) + 1,
            kind="screen" if experiment else "calibration",
            status="ok" if ok else "failed",
            reason=failure,
            detail=None if ok else (cells.status or "no score"),
            metric=self.table.layout.score,
            score=score if ok else None,
            seed=None,
            asset_sha256=cells.commit,
            task_sha256="",
            isolation="none",
            device=self.device,
            started_at=_moment(cells.time),
            budget_s=self.table.budget_s,
            wall_s=observables.get("total_s"),
            observables=observables,
            curve=self.table.curve,
        )
        self.runs.append(run)
        return run

    def _row(self, line: Line, cells: Cells, run: Run | None, experiment: int | None, notes: list[str]) -> None:
        self.rows.append(
            ImportedRow(
                line=line.number,
                text=line.text,
                table=self.index,
                run=run.run if run else None,
                experiment=experiment,
                status=cells.status or None,
                note="; ".join(notes) or None,
            )
        )


def _observables(numbers: Mapping[str, str], score: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, text in numbers.items():
        value = words.number_of(text)
        ours = words.observable_of(column)
        if column in words.NUMBERING:
            continue
        name, factor = ours or (column, 1)
        if value is None or value < 0 or name in found or name == score or (value == 0 and ours):
            continue
        found[name] = value * factor
    return found


def _why(cells: Cells, verdict: Verdict, reason: Reason | None) -> str | None:
    """Their own words for why it was not kept; where a column of its own says it, that."""
    if cells.reason is not None:
        return cells.reason or None
    return None if verdict in _KEPT else reason or cells.status


def _moment(text: str) -> str:
    """ISO time of a cell, empty where it is none."""
    try:
        return datetime.datetime.fromisoformat(text.strip()).isoformat(timespec="seconds") if "-" in text else ""
    except ValueError:
        return ""


def _plan(table: Table, maker: _Maker, night_id: str, file: str, device: str | None) -> NightPlan:
    """The plan, as far as a results file tells it; what it does not is named in `unknown`."""
    unknown = list(_NOBODY_TOLD)
    started = min((run.started_at for run in maker.runs if run.started_at), default="")
    walls = [run.wall_s for run in maker.runs]
    hours = sum(wall for wall in walls if wall) / 3600
    if hours and all(walls):
        unknown.remove("hours")
    unknown += [] if started else ["started_at"]
    unknown += [] if device else ["device"]
    unknown += [] if table.budget_s else ["preset.budget_s"]
    name = table.layout.score
    preset = Preset(device_kinds=[], description="not told", dataset="unknown", budget_s=table.budget_s or 1.0)
    nothing = Command(command=[])
    task = Task(
        name="imported",
        version="unknown",
        description=table.title or f"imported from {file}",
        asset=Asset(files=[], program=""),
        metric=Metric(
            name=name,
            unit="bits/byte" if name.endswith(("bpb", "bits_per_byte")) else "",
            direction="lower" if maker.lower else "higher",
            version="as imported",
            smallest_effect=_resolution(table),
        ),
        artifact=[],
        train=nothing,
        evaluate=nothing,
        observables={key: value for key, value in _ROLES.items() if any(key in run.observables for run in maker.runs)},
        presets={"imported": preset},
    )
    slug = re.sub(r"[^a-z0-9]+", "-", (device or "unknown").lower()).strip("-") or "unknown"
    return NightPlan(
        night_id=night_id,
        started_at=started,
        hours=hours if hours and all(walls) else 1.0,
        device=Device(kind="cuda", index=0, name=device or "unknown", slug=slug),
        profile=Profile(device_slug=slug, device_kind="unknown", name=device or "unknown", sha256="", notes=["imported: nothing is known"]),
        task=task,
        task_sha256="",
        preset_name="imported",
        preset=preset,
        isolation="none",
        agent="not told",
        seed=0,
        baseline_sha256=maker.commits.get(0, ""),
        reference_sha256=maker.commits.get(0, ""),
        imported=True,
        unknown=unknown,
    )


def _resolution(table: Table) -> float:
    """The last decimal that their scores are written with."""
    decimals = max(
        (len(cells.score.rpartition(".")[2]) for _, cells in table.rows if re.fullmatch(r"\d+\.\d{1,12}", cells.score)), default=0
    )
    return float(10.0**-decimals)
