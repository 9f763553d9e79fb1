"""The ledger of one night, open for writing: what the loop tells it is durable when the call returns."""

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import ApplianceError
from appliance.ledger import assets, compaction, logs, rows
from appliance.ledger.columns import finite, pack, unpack
from appliance.ledger.disk import Disk, write_file
from appliance.ledger.journal import Item, Journal, now
from appliance.ledger.locks import Lock
from appliance.ledger.reconcile import Reconciled
from appliance.ledger.space import Space
from appliance.records import FORMAT_VERSION, Experiment, NightPlan, NightState, Proposal, Record, Run

GATHER_AT = 256
"""Single files of one kind that are gathered into one while the night goes on; a night on a GPU does not get there."""

FULL_EXPERIMENTS = 200
"""Latest experiments kept in memory with their diff."""


class Pending(Record, frozen=True, kw_only=True):
    """A run or experiment that is planned and not yet recorded."""

    number: int
    experiment: int
    state: str
    """`planned`, `started`, `trained` or `evaluated`."""
    attempts: int
    """Times it was started."""
    facts: dict[str, Any]
    """Runs: kind, seed, asset_sha256, nonce, container_id, …; experiments: parent."""
    proposal: Proposal | None = None
    """Of an experiment."""


class Ledger:
    """Made by `create` and `open`; one process at a time (the night's lock)."""

    def __init__(
        self,
        *,
        folder: Path,
        plan: NightPlan,
        journal: Journal,
        lock: Lock,
        disk: Disk,
        space: Space,
        runs: dict[int, Run],
        experiments: dict[int, Experiment],
        reconciled: Reconciled,
        heartbeat_s: float,
        afterwards: bool = False,
    ) -> None:
        self.folder, self.plan, self.reconciled = folder, plan, reconciled
        self._journal, self._lock, self._disk, self._space = journal, lock, disk, space
        self._afterwards = afterwards
        self._strings: dict[str, str] = {}
        self._runs: dict[int, Run] = {}
        self._runs_of: dict[int, list[int]] = {}
        for run in runs.values():
            self._remember(run)
        self._planned_runs: set[int] = set()
        self._experiments = {number: self._shared(experiment) for number, experiment in experiments.items()}
        self._loose = {kind.key: len(rows.files(kind, folder)[0]) for kind in rows.KINDS}
        self._logs_since_trim = 0
        self._state = msgspec.json.decode(journal.get("state") or b'{"phase": "start"}', type=NightState)
        self._clock_base = float(journal.get("clock_spent_s") or b"0")
        self._opened = _boot_s()
        self._closed = threading.Event()
        if heartbeat_s > 0:
            with contextlib.suppress(RuntimeError):  # no thread to be had: the clock is still kept with every row
                threading.Thread(target=self._beat, args=(heartbeat_s,), name="ledger-heartbeat", daemon=True).start()

    # runs

    def next_run(self) -> int:
        """The lowest number above all runs that are recorded or were planned by this process; from 1.

        A run that a killed process left unfinished gives its number back: the numbers, and what is drawn from them, are those of an
        undisturbed night.
        """
        return max(max(self._runs, default=0), max(self._planned_runs, default=0)) + 1

    def plan_run(self, run: int, experiment: int, kind: str, seed: int, asset_sha256: str, **facts: Any) -> None:
        """Plan a run. Again with the same facts does nothing; the number of an interrupted run of a dead process may be planned anew.

        Raises:
            ApplianceError: the number is taken by another run.
        """
        known = {"kind": kind, "seed": seed, "asset_sha256": asset_sha256, **facts}
        replace = run not in self._planned_runs
        self._commit("run-planned", lambda: self._journal.plan("run", run, experiment, known, replace=replace))
        self._planned_runs.add(run)

    def advance_run(self, run: int, state: str, **facts: Any) -> None:
        """Move a run on to `started` (nonce, container_id), `trained` or `evaluated`; `started` counts an attempt.

        Raises:
            ApplianceError: an unknown state, or a run that is decided already.
        """
        self._commit(f"run-{state}", lambda: self._journal.advance("run", run, state, facts))

    def record_run(self, run: Run) -> None:
        """Make a run's row durable. A run that is recorded already is left as it is.

        Raises:
            ApplianceError: a score that is not finite, or another night's run.
            PrerequisiteError: the disk is full and nothing is left that may go.
        """
        self._check_night(run.night_id)
        if run.run in self._runs:
            return
        run = finite(Run, run)
        self._decide(rows.RUNS, run, {})
        self._remember(run)
        self._gather(rows.RUNS)

    def runs(self) -> list[Run]:
        """All recorded runs, in the order of recording, without curves, log tails and per-document scores."""
        return list(self._runs.values())

    def runs_of(self, experiment: int) -> list[Run]:
        """Recorded runs of one experiment, as `runs` gives them."""
        return [self._runs[number] for number in self._runs_of.get(experiment, ())]

    def run(self, number: int) -> Run:
        """One recorded run, whole.

        Raises:
            ApplianceError: not recorded.
        """
        return rows.read_one(rows.RUNS, self.folder, number)

    def interrupted(self) -> list[Pending]:
        """Runs that were started and never recorded: a process died in them."""
        return [pending for pending in self.pending_runs() if pending.state != "planned"]

    def pending_runs(self) -> list[Pending]:
        """Runs that are planned and not recorded."""
        return [_pending(item) for item in self._journal.open_items("run")]

    # experiments

    def next_experiment(self) -> int:
        """The lowest experiment number above all that were ever planned; from 1, as 0 is the baseline."""
        return max(self._journal.highest("experiment") or 0, max(self._experiments, default=0)) + 1

    def plan_experiment(self, experiment: int, proposal: Proposal, parent: int, *, agent_state: Any = None, **facts: Any) -> None:
        """Keep a proposal before anything is run for it, and the agent's state with it. Again does nothing.

        Raises:
            ApplianceError: the number was planned with other facts.
        """

        def commit() -> None:
            with self._journal.transaction():
                self._journal.plan("experiment", experiment, experiment, {"parent": parent, **facts}, pack(proposal))
                self._put_agent(agent_state)

        self._commit("experiment-planned", commit)

    def advance_experiment(self, experiment: int, state: str, **facts: Any) -> None:
        """Move an experiment on.

        Raises:
            ApplianceError: an unknown state, or an experiment that is decided already.
        """
        self._commit(f"experiment-{state}", lambda: self._journal.advance("experiment", experiment, state, facts))

    def record_experiment(self, experiment: Experiment, *, agent_state: Any = None, **state: Any) -> None:
        """Make a verdict durable, with the agent's state and fields of the night's state, all in one commit. Again does nothing.

        Raises:
            ApplianceError: another night's experiment.
            PrerequisiteError: the disk is full and nothing is left that may go.
        """
        self._check_night(experiment.night_id)
        if experiment.experiment in self._experiments:
            return
        experiment = finite(Experiment, experiment)
        self._decide(rows.EXPERIMENTS, experiment, state, agent_state)
        self._experiments[experiment.experiment] = self._shared(experiment)
        self._forget_diff(experiment.experiment - FULL_EXPERIMENTS)
        self._gather(rows.EXPERIMENTS)

    def experiments(self) -> list[Experiment]:
        """All recorded experiments, in the order of recording; those before the latest 200 without their diff."""
        return list(self._experiments.values())

    def experiment(self, number: int) -> Experiment:
        """One recorded experiment, whole.

        Raises:
            ApplianceError: not recorded.
        """
        return rows.read_one(rows.EXPERIMENTS, self.folder, number)

    def pending_experiments(self) -> list[Pending]:
        """Experiments that were proposed and not decided; their proposals need not be asked for again."""
        return [_pending(item) for item in self._journal.open_items("experiment")]

    # the night

    @property
    def state(self) -> NightState:
        """What changes while the night lasts."""
        return self._state

    def update_state(self, **fields: Any) -> NightState:
        """Change fields of the state; the end of a night is exported to `winner/winner.json` too."""
        state = msgspec.structs.replace(self._state, **fields)
        self._commit("state", lambda: self._journal.put("state", msgspec.json.encode(state)))
        self._state = state
        if "ended_at" in fields or "confirmation" in fields or "attribution" in fields:
            self._export_state()
        return state

    def save_agent(self, state: bytes | Mapping[str, Any]) -> None:
        """Keep the agent's state. Given with `record_experiment` it is one commit with the verdict."""
        self._commit("agent", lambda: self._put_agent(state))

    def load_agent(self) -> Any:
        """What was last kept: bytes or a dict as it was given; None where nothing was."""
        data = self._journal.get("agent")
        return msgspec.msgpack.decode(data) if data is not None else None

    @property
    def clock_spent_s(self) -> float:
        """Seconds of the night so far, over all its processes, those of a machine asleep included; time between and after them is not."""
        return self._clock_base if self._afterwards else self._clock_base + _boot_s() - self._opened

    def heartbeat(self) -> None:
        """Keep the clock and show life; called on its own every few seconds."""
        with contextlib.suppress(Exception):  # a full disk must not end the thread: the next beat may work
            if not self._afterwards:
                with self._journal.transaction():
                    self._journal.put("clock_spent_s", repr(self.clock_spent_s))
                    self._journal.put("heartbeat_at", now())
            self._lock.heartbeat()

    def store_asset(self, files: Mapping[str, str]) -> str:
        """Keep an asset; its SHA-256.

        Raises:
            UsageError: no files, or a name that leaves the folder.
        """
        return self._space.guard(lambda: assets.store_asset(self._disk, self.folder, files))

    def load_asset(self, sha256: str) -> dict[str, str]:
        """The files of an asset.

        Raises:
            ApplianceError: not there, or changed since.
        """
        return assets.load_asset(self.folder, sha256)

    def write_log(self, run: int, text: str) -> None:
        """Keep a run's log, cut and compressed; where the disk is full it is left out."""
        with contextlib.suppress(OSError):
            logs.write_log(self._disk, self.folder, run, text)
        self._logs_since_trim += 1
        if self._logs_since_trim >= 50:
            logs.trim(self.folder)
            self._logs_since_trim = 0

    def set_winner(self, sha256: str, winner: Mapping[str, Any]) -> None:
        """Write `winner/`: the files of the asset, then `winner.json` with `winner` and the night's state."""
        files = self.load_asset(sha256)
        (self.folder / "winner").mkdir(exist_ok=True)
        for name, text in files.items():
            path = self.folder / "winner" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._space.guard(lambda path=path, text=text: write_file(self._disk, path, text.encode()))  # type: ignore[misc]
        self._commit("winner", lambda: self._journal.put("winner", msgspec.json.encode({**winner, "asset_sha256": sha256})))
        self._export_state()

    def free_bytes(self) -> int:
        """Space left on the disk of the night."""
        return self._space.free_bytes()

    def compact(self) -> int:
        """Gather all single files; how many rows."""
        count = 0
        for kind in rows.KINDS:
            numbers = self._space.guard(lambda kind=kind: compaction.gather(self._disk, self.folder, kind))  # type: ignore[misc]
            self._commit("compacted", lambda kind=kind, numbers=numbers: self._journal.drop_payloads(kind.key, numbers))
            self._loose[kind.key] = len(rows.files(kind, self.folder)[0])
            count += len(numbers)
        return count

    def close(self) -> None:
        """Keep the clock, let go of the journal and the lock. Twice does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.heartbeat()
        if not self._afterwards:
            with contextlib.suppress(Exception):
                self._journal.put("closed", now())
        if self._state.ended_at:
            self._space.give_reserve_back()
        self._journal.close()
        self._lock.release()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # inside

    def _beat(self, every_s: float) -> None:
        while not self._closed.wait(every_s):
            self.heartbeat()

    def _commit(self, step: str, commit: Any) -> None:
        self._space.guard(commit)
        self._disk.step(step)

    def _put_agent(self, state: Any) -> None:
        if state is not None:
            self._journal.put("agent", msgspec.msgpack.encode(state))

    def _decide(self, kind: rows.Kind[Any], record: Any, state: dict[str, Any], agent_state: Any = None) -> None:
        """Journal (`judged`, with the record), file, journal (`recorded`); a kill in between is finished by the next start."""
        number = kind.number(record)
        night = msgspec.structs.replace(self._state, **state)

        def judged() -> None:
            with self._journal.transaction():
                self._journal.advance(kind.key, number, "judged", kind.summarised(record), pack(record), experiment=record.experiment)
                self._put_agent(agent_state)
                if state:
                    self._journal.put("state", msgspec.json.encode(night))
                self._journal.put("clock_spent_s", repr(self.clock_spent_s))

        known = self._journal.item(kind.key, number)
        if known is None or known.state != "judged":
            self._commit(f"{kind.key}-judged", judged)
        self._state = night
        self._space.guard(lambda: rows.write(self._disk, kind, self.folder, record))
        self._commit(f"{kind.key}-recorded", lambda: self._journal.advance(kind.key, number, "recorded", {}))
        self._loose[kind.key] += 1

    def _gather(self, kind: rows.Kind[Any]) -> None:
        if self._loose[kind.key] < GATHER_AT:
            return
        with contextlib.suppress(OSError):  # gathering can wait; the rows are safe
            numbers = compaction.gather(self._disk, self.folder, kind)
            self._journal.drop_payloads(kind.key, numbers)
        self._loose[kind.key] = len(rows.files(kind, self.folder)[0])

    def _export_state(self) -> None:
        winner = msgspec.json.decode(self._journal.get("winner") or b"{}")
        document = {
            "format_version": FORMAT_VERSION,
            "night_id": self.plan.night_id,
            **winner,
            "state": msgspec.to_builtins(self._state),
        }
        data = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
        (self.folder / "winner").mkdir(exist_ok=True)
        self._space.guard(lambda: write_file(self._disk, self.folder / "winner" / "winner.json", data))

    def _check_night(self, night_id: str) -> None:
        if night_id != self.plan.night_id:
            raise ApplianceError(f"a row of night {night_id} does not belong into {self.plan.night_id}")

    def _same(self, text: str | None) -> Any:
        return self._strings.setdefault(text, text) if text is not None else None

    def _remember(self, run: Run) -> None:
        self._runs[run.run] = self._light(run)
        self._runs_of.setdefault(run.experiment, []).append(run.run)

    def _light(self, run: Run) -> Run:
        same = {name: self._same(getattr(run, name)) for name in _REPEATED_RUN}
        scores = [msgspec.structs.replace(score, documents=[]) for score in run.scores]
        observables = {self._same(name): value for name, value in run.observables.items()}
        return msgspec.structs.replace(run, curve=[], log_tail="", scores=scores, observables=observables, **same)

    def _shared(self, experiment: Experiment) -> Experiment:
        same = {name: self._same(getattr(experiment, name)) for name in ("night_id", "agent", "reason", "hypothesis")}
        return msgspec.structs.replace(experiment, **same)

    def _forget_diff(self, number: int) -> None:
        old = self._experiments.get(number)
        if old is not None:
            self._experiments[number] = msgspec.structs.replace(old, diff="")


def _boot_s() -> float:
    """Seconds that no clock change moves and no suspend stops."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_REPEATED_RUN = (
    "night_id",
    "metric",
    "image_digest",
    "data_sha256",
    "profile_sha256",
    "task_sha256",
    "device",
    "driver",
    "torch",
    "dataset",
    "asset_sha256",
)


def _pending(item: Item) -> Pending:
    proposal = unpack(Proposal, item.payload) if item.kind == "experiment" and item.payload and item.state != "judged" else None
    return Pending(
        number=item.number, experiment=item.experiment, state=item.state, attempts=item.attempts, facts=dict(item.facts), proposal=proposal
    )
