"""The folders of nights: made, opened, read, found."""

import secrets
import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import ApplianceError, UsageError
from appliance.ledger import rows
from appliance.ledger.assets import load_asset, store_asset
from appliance.ledger.book import Ledger
from appliance.ledger.columns import refuse_newer
from appliance.ledger.disk import TEMPORARY, Disk, sync_folder, temporary_name, write_file
from appliance.ledger.journal import Journal, consult, now
from appliance.ledger.locks import Lock, night_lock_path
from appliance.ledger.reconcile import Reconciled, reconcile, remove_unfinished
from appliance.ledger.space import RESERVE_BYTES, Space
from appliance.records import Experiment, Night, NightPlan, NightState, Record

PLAN = "night.json"
JOURNAL = "journal.db"
_FOLDERS = ("runs", "experiments", "assets", "logs", "winner")


def new_night_id(device_slug: str) -> str:
    """`YYYYMMDD-HHMMSS-<device slug>-<4 hex>`, UTC."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{device_slug}-{secrets.token_hex(2)}"


def create(
    root: Path,
    plan: NightPlan,
    files: Iterable[Mapping[str, str]] = (),
    *,
    disk: Disk | None = None,
    reserve_bytes: int = RESERVE_BYTES,
    heartbeat_s: float = 5.0,
) -> Ledger:
    """Make a night's folder, whole or not at all, and open it.

    Args:
        root: folder of all nights.
        plan: everything fixed at the start; written as `night.json`.
        files: assets that are there from the beginning, so that no kill leaves a night without the baseline that its plan names.
        disk: the kernel, for tests.
        reserve_bytes: kept for the last results when the disk is full.
        heartbeat_s: seconds between signs of life; 0 for none.

    Raises:
        UsageError: the folder exists.
        OSError: disk full or no permission.
    """
    disk = disk or Disk()
    folder = root / plan.night_id
    if folder.exists():
        raise UsageError(f"{folder} exists: continue it with --resume {plan.night_id}")
    root.mkdir(parents=True, exist_ok=True)
    _remove_unfinished_nights(root)
    temporary = temporary_name(folder)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        for name in _FOLDERS:
            (temporary / name).mkdir(parents=True)
        write_file(disk, temporary / PLAN, msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n")
        for asset in files:
            store_asset(disk, temporary, asset)
        disk.step("night-written")
        journal = Journal(temporary / JOURNAL)
        journal.put("night_id", plan.night_id)
        journal.close()
        sync_folder(disk, temporary)
        disk.rename(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(disk, root)
    disk.step("night-created")
    return open_night(folder, disk=disk, reserve_bytes=reserve_bytes, heartbeat_s=heartbeat_s)


def read_plan(folder: Path) -> NightPlan:
    """`night.json`.

    Raises:
        UsageError: missing, damaged, or of a newer format.
    """
    path = folder / PLAN
    try:
        data = path.read_bytes()
        head = msgspec.json.decode(data)
    except FileNotFoundError:
        raise UsageError(f"{folder} is no night: it has no {PLAN}") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    refuse_newer(head.get("format_version") if isinstance(head, dict) else None, str(path))
    try:
        return msgspec.json.decode(data, type=NightPlan)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: {error}") from error


def open_night(
    folder: Path, *, disk: Disk | None = None, reserve_bytes: int = RESERVE_BYTES, heartbeat_s: float = 5.0, afterwards: bool = False
) -> Ledger:
    """Open a night for writing; journal and files are reconciled first.

    afterwards: for what comes after the night or between its parts: its clock stands still, and no cut is noted.

    Raises:
        UsageError: no night, of a newer format, or another process holds it.
        PrerequisiteError: the disk is full.
    """
    disk = disk or Disk()
    plan = read_plan(folder)
    lock = Lock(night_lock_path(folder), f"night {folder.name}", folder)
    try:
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        report = Reconciled(temporaries=remove_unfinished(folder))
        space = Space(folder, reserve_bytes)
        journal = space.guard(lambda: _open_journal(folder, report))
        try:
            runs = space.guard(lambda: reconcile(disk, folder, journal, rows.RUNS, report))
            experiments = space.guard(lambda: reconcile(disk, folder, journal, rows.EXPERIMENTS, report))
            if not afterwards:
                _note_cut(journal, space)
            space.keep_reserve()
            return Ledger(
                folder=folder,
                plan=plan,
                journal=journal,
                lock=lock,
                disk=disk,
                space=space,
                runs=runs,
                experiments=experiments,
                reconciled=report,
                heartbeat_s=heartbeat_s,
                afterwards=afterwards,
            )
        except BaseException:
            journal.close()
            raise
    except BaseException:
        lock.release()
        raise


def _open_journal(folder: Path, report: Reconciled) -> Journal:
    """The journal; one that is damaged is set aside and made anew from the files (`reconcile`)."""
    path = folder / JOURNAL
    try:
        return Journal(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        aside = folder / "damaged"
        aside.mkdir(exist_ok=True)
        for name in (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm"):
            if (folder / name).exists():
                (folder / name).replace(aside / name)
        report.set_aside.append(f"{JOURNAL}: {error}")
        journal = Journal(path)
        state = _exported_state(folder)
        if state:
            journal.put("state", msgspec.json.encode(state))
        return journal


def _note_cut(journal: Journal, space: Space) -> None:
    """Say in the state that, and where, the night was cut; the first opening is no cut, nor one after the night's end."""

    def note() -> None:
        with journal.transaction():
            before = journal.get("opened")
            if before is not None:
                state = msgspec.json.decode(journal.get("state") or b'{"phase": "start"}', type=NightState)
                if not state.ended_at or state.phase == "cut":
                    closed = journal.get("closed")
                    at = closed or journal.get("heartbeat_at") or before
                    cut: dict[str, Any] = {
                        "at": at.decode(),
                        "resumed_at": now(),
                        "why": "stopped" if closed else "killed",
                        "phase": state.phase,
                        "clock_spent_s": float(journal.get("clock_spent_s") or b"0"),
                    }
                    state = msgspec.structs.replace(state, cuts=[*state.cuts, cut])
                    journal.put("state", msgspec.json.encode(state))
            journal.put("opened", now())
            journal.put("closed", b"")

    space.guard(note)


def read(folder: Path) -> Night:
    """All that a reader needs of a night: still running, ended, compacted, or without its journal.

    Raises:
        UsageError: no night, or of a newer format.
    """
    plan = read_plan(folder)
    runs = list(rows.read(rows.RUNS, folder).rows.values())
    experiments = list(rows.read(rows.EXPERIMENTS, folder).rows.values())
    state = _journal_state(folder) or _exported_state(folder) or _derived_state(experiments)
    return Night(plan=plan, state=state, runs=runs, experiments=experiments, assets=_assets(folder, plan, state, experiments))


class Standing(Record, frozen=True, kw_only=True):
    """How far a night is."""

    plan: NightPlan
    state: NightState
    runs: list[dict[str, Any]]
    """`status` of each."""
    experiments: list[dict[str, Any]]
    """`experiment`, `verdict` and `incumbent` after it, of each."""


def standing(folder: Path) -> Standing:
    """How far a night is, by its journal alone; by its rows where an old, missing or new journal does not know them all.

    Raises:
        UsageError: no night, or of a newer format.
    """
    plan, state = read_plan(folder), _journal_state(folder)
    told = consult(folder / JOURNAL, lambda journal: [journal.recorded_facts(kind.key) for kind in rows.KINDS])
    if state and told and all(kind.summary <= one.keys() for kind, facts in zip(rows.KINDS, told, strict=True) for one in facts):
        return Standing(plan=plan, state=state, runs=told[0], experiments=told[1])
    night = read(folder)
    return Standing(
        plan=plan,
        state=night.state,
        runs=[rows.RUNS.summarised(run) for run in night.runs],
        experiments=[rows.EXPERIMENTS.summarised(experiment) for experiment in night.experiments],
    )


def _journal_state(folder: Path) -> NightState | None:
    data = consult(folder / JOURNAL, lambda journal: journal.get("state"))
    return msgspec.json.decode(data, type=NightState) if data else None


def _exported_state(folder: Path) -> NightState | None:
    try:
        document = msgspec.json.decode((folder / "winner" / "winner.json").read_bytes())
        return msgspec.convert(document["state"], NightState)
    except (OSError, KeyError, TypeError, msgspec.MsgspecError):
        return None


def _derived_state(experiments: list[Experiment]) -> NightState:
    """From the last verdict, where neither journal nor export tells."""
    incumbent = experiments[-1].incumbent if experiments else 0
    sha256 = next((row.asset_sha256 for row in experiments if row.experiment == incumbent), None)
    return NightState(phase="unknown", incumbent=incumbent, incumbent_sha256=sha256)


def _assets(folder: Path, plan: NightPlan, state: NightState, experiments: list[Experiment]) -> dict[str, dict[str, str]]:
    """Of the baseline, the reference, the winner and its ancestors; one that is missing or changed is left out."""
    by_number = {row.experiment: row for row in experiments}
    wanted = {plan.baseline_sha256, plan.reference_sha256}
    if state.incumbent_sha256:
        wanted.add(state.incumbent_sha256)
    number = state.incumbent
    while number in by_number:
        row = by_number.pop(number)
        wanted.add(row.asset_sha256)
        number = row.parent
    found: dict[str, dict[str, str]] = {}
    for sha256 in sorted(wanted):
        try:
            found[sha256] = load_asset(folder, sha256)
        except (ApplianceError, OSError, UnicodeDecodeError):
            continue
    return found


def list_nights(root: Path) -> list[Path]:
    """Folders of all nights under `root`, oldest first."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if not path.name.startswith(".") and (path / PLAN).is_file())


def find(root: Path, name: str | None = None) -> Path:
    """A night by path, id or unique beginning of its id; the latest without a name.

    Raises:
        UsageError: none, or several; the message lists them.
    """
    if name:
        path = Path(name)
        if (path / PLAN).is_file():
            return path.absolute()
        if path.name == PLAN and path.is_file():
            return path.parent.absolute()
    nights = list_nights(root)
    if not name:
        if not nights:
            raise UsageError(f"there is no night in {root}: start one with appliance overnight, or say where they are with --nights")
        return nights[-1]
    exact = [path for path in nights if path.name == name]
    matches = exact or [path for path in nights if path.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        known = ", ".join(path.name for path in nights[-3:]) or "none"
        raise UsageError(f"no night {name!r} in {root}; the latest are: {known}")
    raise UsageError(f"{name!r} could be {', '.join(path.name for path in matches[:5])}: give more of the id")


def compact(folder: Path) -> int:
    """Gather the rows of a night that nobody writes to into few files; how many rows.

    Raises:
        UsageError: no night, or another process holds it.
    """
    with open_night(folder, reserve_bytes=0, heartbeat_s=0) as ledger:
        return ledger.compact()


def _remove_unfinished_nights(root: Path) -> None:
    """Remove folders of nights whose maker was killed."""
    for path in root.glob(f".*{TEMPORARY}"):
        pid = path.name.removesuffix(TEMPORARY).rpartition(".")[2]
        if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)
