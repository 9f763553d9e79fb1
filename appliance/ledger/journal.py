"""`journal.db`: where every run and experiment stands, so that a killed night knows what it was doing.

SQLite, WAL, synchronous=FULL: a call that returned is on the medium. A row's whole record is committed here (`judged`) before its Parquet
file is written, so that a decision that was made once is never made again; the copy is dropped when a compaction has gathered the row.
"""

import json
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from appliance.errors import ApplianceError
from appliance.ledger.columns import refuse_newer
from appliance.records import FORMAT_VERSION

T = TypeVar("T")

STATES = ("planned", "started", "trained", "evaluated", "judged", "recorded")
"""In this order; a later attempt may go back to `started`."""

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (
    kind TEXT NOT NULL, number INTEGER NOT NULL, experiment INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    facts TEXT NOT NULL DEFAULT '{}', payload BLOB, PRIMARY KEY (kind, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_open ON item (kind, number) WHERE state <> 'recorded';
"""


def now() -> str:
    """UTC, ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """Where one run or experiment stands."""

    kind: str
    """`run` or `experiment`."""
    number: int
    experiment: int
    state: str
    attempts: int
    """Times it was started."""
    facts: Mapping[str, Any]
    """What it was planned with and what was learned since: seed, nonce, container id, …"""
    payload: bytes | None
    """Its record (judged), or its proposal (planned experiments), packed."""


class Journal:
    """One connection; safe to use from the threads of one process."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        source = f"{path.absolute().as_uri()}?{_mode(path, read_only=read_only)}"
        self._db = sqlite3.connect(source, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0)
        try:
            self._db.execute("PRAGMA busy_timeout=30000")
            if not read_only:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA cache_size=-2000")
                self._db.executescript(_TABLES)
                self._db.execute("INSERT OR IGNORE INTO meta VALUES ('format_version', ?)", (str(FORMAT_VERSION),))
            refuse_newer(int(self.get("format_version") or 0), str(path))
        except BaseException:
            self._db.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when it returns.

        Raises:
            sqlite3.OperationalError: disk full or write error; nothing of it happened.
        """
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def get(self, key: str) -> bytes | None:
        """A value of the night as a whole."""
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        return row[0].encode() if isinstance(row[0], str) else bytes(row[0])

    def put(self, key: str, value: bytes | str) -> None:
        """Store a value of the night as a whole."""
        with self.transaction():
            self._db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))

    def item(self, kind: str, number: int) -> Item | None:
        """Where one stands; None where it was never planned."""
        found = list(self._items("kind = ? AND number = ?", (kind, number)))
        return found[0] if found else None

    def open_items(self, kind: str) -> list[Item]:
        """All that are not recorded, in order."""
        return list(self._items("kind = ? AND state <> 'recorded'", (kind,)))

    def _items(self, where: str, values: tuple[Any, ...]) -> list[Item]:
        query = f"SELECT kind, number, experiment, state, attempts, facts, payload FROM item WHERE {where} ORDER BY number"  # noqa: S608
        with self._lock:
            rows = self._db.execute(query, values).fetchall()
        return [
            Item(kind=k, number=n, experiment=e, state=s, attempts=a, facts=json.loads(f), payload=zlib.decompress(p) if p else None)
            for k, n, e, s, a, f, p in rows
        ]

    def recorded(self, kind: str) -> set[int]:
        """Numbers of all that are recorded."""
        with self._lock:
            return {row[0] for row in self._db.execute("SELECT number FROM item WHERE kind = ? AND state = 'recorded'", (kind,))}

    def recorded_facts(self, kind: str) -> list[dict[str, Any]]:
        """What is known of all that are recorded, in order of their numbers."""
        with self._lock:
            rows = self._db.execute("SELECT facts FROM item WHERE kind = ? AND state = 'recorded' ORDER BY number", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def highest(self, kind: str) -> int | None:
        """Highest number ever planned."""
        with self._lock:
            number: int | None = self._db.execute("SELECT max(number) FROM item WHERE kind = ?", (kind,)).fetchone()[0]
        return number

    def plan(
        self, kind: str, number: int, experiment: int, facts: Mapping[str, Any], payload: bytes | None = None, *, replace: bool = False
    ) -> None:
        """Plan an item; one that is planned already with the same facts is left where it stands.

        Args:
            kind: `run` or `experiment`.
            number: of the item.
            experiment: it belongs to.
            facts: kept with it.
            payload: its proposal.
            replace: an undecided item with other facts was interrupted and is planned anew; its attempts are kept.

        Raises:
            ApplianceError: the number is taken by an item with other facts.
        """
        with self.transaction():
            known = self.item(kind, number)
            text = json.dumps(dict(facts))
            if known is None:
                self._db.execute(
                    "INSERT INTO item (kind, number, experiment, state, facts, payload) VALUES (?, ?, ?, 'planned', ?, ?)",
                    (kind, number, experiment, text, _packed(payload)),
                )
            elif known.experiment == experiment and all(known.facts.get(key) == value for key, value in facts.items()):
                return
            elif replace and known.state not in ("judged", "recorded"):
                self._db.execute(
                    "UPDATE item SET experiment = ?, state = 'planned', facts = ?, payload = ? WHERE kind = ? AND number = ?",
                    (experiment, text, _packed(payload), kind, number),
                )
            else:
                raise ApplianceError(
                    f"{kind} {number} is taken by one of experiment {known.experiment} with other facts: take the next number"
                )

    def advance(
        self, kind: str, number: int, state: str, facts: Mapping[str, Any], payload: bytes | None = None, experiment: int = 0
    ) -> None:
        """Move an item on; the payload of one that is not given stays. Unplanned items are planned on the way.

        Raises:
            ApplianceError: an unknown state, or an item that is decided already.
        """
        if state not in STATES:
            raise ApplianceError(f"no state {state!r}; there are {', '.join(STATES)}")
        with self.transaction():
            known = self.item(kind, number)
            if known is None:
                self.plan(kind, number, experiment, {})
                known = self.item(kind, number)
                assert known is not None
            if known.state == "recorded" or (known.state == "judged" and state != "recorded"):
                if known.state == state:
                    return
                raise ApplianceError(f"{kind} {number} is {known.state}: it cannot become {state} again")
            merged = json.dumps({**known.facts, **facts})
            attempts = known.attempts + (state == "started")
            self._db.execute(
                "UPDATE item SET state = ?, attempts = ?, facts = ?, payload = coalesce(?, payload) WHERE kind = ? AND number = ?",
                (state, attempts, merged, _packed(payload), kind, number),
            )

    def forget(self, kind: str, numbers: set[int]) -> None:
        """Recorded items whose file is gone for good go back to `planned`."""
        with self.transaction():
            self._db.executemany("UPDATE item SET state = 'planned' WHERE kind = ? AND number = ?", [(kind, number) for number in numbers])

    def adopt(self, kind: str, experiments: Mapping[int, int]) -> None:
        """Rows (number → experiment) whose files are there are recorded, whatever the journal knew."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO item (kind, number, experiment, state) VALUES (?, ?, ?, 'recorded') "
                "ON CONFLICT (kind, number) DO UPDATE SET state = 'recorded'",
                [(kind, number, experiment) for number, experiment in experiments.items()],
            )

    def drop_payloads(self, kind: str, numbers: set[int]) -> None:
        """Recorded rows that a compacted file holds need no copy here."""
        with self.transaction():
            self._db.executemany(
                "UPDATE item SET payload = NULL WHERE kind = ? AND number = ? AND state = 'recorded'",
                [(kind, number) for number in numbers],
            )

    def close(self) -> None:
        """Write the log back into the database file and let go."""
        with self._lock:
            self._db.close()


def consult(path: Path, tell: Callable[[Journal], T]) -> T | None:
    """What a journal tells, without changing it; None where there is none or it cannot be read."""
    if not path.exists():
        return None
    try:
        with closing(Journal(path, read_only=True)) as journal:
            return tell(journal)
    except sqlite3.Error:
        return None


def _mode(path: Path, *, read_only: bool) -> str:
    """A reader of a night at rest leaves no file beside it and needs none: it may lie on a medium that cannot be written."""
    if not read_only:
        return "mode=rwc"
    return "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def _packed(payload: bytes | None) -> bytes | None:
    return zlib.compress(payload, 1) if payload is not None else None
