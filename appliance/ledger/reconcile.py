"""At every start: what the journal says and what the files hold are made one again.

A file that is there is recorded, whatever the journal knew. A row that was decided (`judged`) or recorded but has no readable file gets
it from the journal's copy. What neither holds goes back to `planned` and is done again; that takes a damaged disk, not a kill.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from appliance.ledger import rows
from appliance.ledger.columns import unpack
from appliance.ledger.disk import Disk, remove_temporaries
from appliance.ledger.journal import Journal
from appliance.records import Record

R = TypeVar("R", bound=Record)


@dataclass(kw_only=True, slots=True)
class Reconciled:
    """What had to be mended."""

    temporaries: int = 0
    """Unfinished files and folders removed."""
    adopted: list[str] = field(default_factory=list)
    """Rows whose file the journal did not know of."""
    rewritten: list[str] = field(default_factory=list)
    """Rows whose file was made from the journal."""
    lost: list[str] = field(default_factory=list)
    """Rows that nothing holds any more; to be done again."""
    set_aside: list[str] = field(default_factory=list)
    """Unreadable files, moved to `damaged/`."""


def remove_unfinished(folder: Path) -> int:
    """Remove temporaries of a dead writer; how many."""
    return sum(remove_temporaries(folder / name) for name in ("", "runs", "experiments", "assets", "logs", "winner"))


def reconcile(disk: Disk, folder: Path, journal: Journal, kind: rows.Kind[R], report: Reconciled) -> dict[int, R]:
    """Make journal and files of one kind agree.

    Returns:
        All recorded rows without their heavy columns.

    Raises:
        UsageError: a file of a newer format.
        OSError: the disk refuses to be mended.
    """
    found = rows.read(kind, folder, light=True)
    for path, why in found.damaged.items():
        target = folder / "damaged" / path.name
        target.parent.mkdir(exist_ok=True)
        disk.rename(path, target)
        report.set_aside.append(f"{path.name}: {why}")
    _finish_compaction(folder, kind, found)
    recorded = journal.recorded(kind.key)
    unknown = {number: row for number, row in found.rows.items() if number not in recorded}
    if unknown:
        report.adopted += [f"{kind.key} {number}" for number in unknown]
        journal.adopt(kind.key, {number: _experiment_of(row) for number, row in unknown.items()})
    waiting = [item for item in journal.open_items(kind.key) if item.state == "judged"]
    missing = [item for number in sorted(recorded - found.rows.keys()) if (item := journal.item(kind.key, number))]
    lost: set[int] = set()
    for item in waiting + missing:
        if item.payload is None:
            lost.add(item.number)
            continue
        record = unpack(kind.cls, item.payload)
        rows.write(disk, kind, folder, record)
        if item.state == "judged":
            journal.advance(kind.key, item.number, "recorded", {})
        report.rewritten.append(f"{kind.key} {item.number}")
        found.rows[item.number] = record
    if lost:
        report.lost += [f"{kind.key} {number}" for number in sorted(lost)]
        journal.forget(kind.key, lost)
    return dict(sorted(found.rows.items()))


def _experiment_of(row: Any) -> int:
    number: int = row.experiment
    return number


def _finish_compaction(folder: Path, kind: rows.Kind[R], found: rows.Read[R]) -> None:
    """A compacted file that is whole stands for its rows: what a killed compaction had left to remove goes now."""
    single, _ = rows.files(kind, folder)
    for numbers in found.gathered.values():
        for number in numbers & single.keys():
            single[number].unlink(missing_ok=True)
