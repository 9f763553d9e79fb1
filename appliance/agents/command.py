"""An agent that is any command: the state of the night as JSON on its stdin, changed files as JSON on its stdout. See docs/agents.md.

It runs on the host as the person who started the night, in their working folder, with their environment. What it prints on stderr is for
people; what it hands back is checked as any proposal is.
"""

import json
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from appliance.agents.ahead import Prepared
from appliance.errors import UsageError
from appliance.records import Experiment, Proposal, Record, Run, View

FORMAT_VERSION = 1
_TIMEOUT_S = 3_600.0
_FAILURES = 5
"""This many in a row, and it is not asked again."""


class _Change(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What a command answers."""

    files: dict[str, str]
    """Changed file → its whole new text."""
    hypothesis: str = "(the command gave none)"
    predicted_effect: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None


class Command:
    """A thinker for `Ahead`."""

    name = "command"

    def __init__(self, command: str) -> None:
        try:
            self._argv = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--agent-command {command!r} cannot be read as a command line: {error}") from error
        if not self._argv:
            raise UsageError("the command agent needs a command: --agent-command 'python3 my_agent.py'")
        self._notes: list[str] = []
        self._failures = 0
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._last: dict[str, Any] | None = None

    def think(self, view: View, running: Proposal | None) -> list[Prepared]:
        """Run the command once."""
        request = {**describe(view), "running": None if running is None else {"agent": running.agent, "hypothesis": running.hypothesis}}
        request["last_result"] = self._last
        with self._lock:
            if self._closed:
                return []
            try:
                self._process = subprocess.Popen(
                    self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
                )
            except OSError as error:
                self._failed(f"it could not be started: {error.strerror}")
                return []
        process = self._process
        try:
            out, _ = process.communicate(json.dumps(request), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self._failed(f"it did not answer within {_TIMEOUT_S:g} s")
            return []
        if self._closed:
            return []
        if process.returncode:
            self._failed(f"it exited with {process.returncode}")
            return []
        return self._proposals(out, view)

    def rebase(self, prepared: Prepared, view: View) -> dict[str, str] | str:
        """Whole files cannot be."""
        return "whole files cannot be applied to another one"

    def ready(self) -> bool:
        """Until it failed too often."""
        return not self._closed and self._failures < _FAILURES

    def observe(self, experiment: Experiment, runs: Sequence[Run], proposal: Proposal) -> None:
        """Keep the last result for the next request."""
        self._last = {
            "experiment": experiment.experiment,
            "verdict": experiment.verdict.value,
            "reason": experiment.reason,
            "difference": experiment.difference,
            "runs": [
                {
                    "status": r.status,
                    "reason": r.reason,
                    "score": r.score,
                    "observables": r.observables,
                    "curve": r.curve,
                    "log_tail": r.log_tail,
                }
                for r in runs
            ],
        }

    def notes(self) -> list[str]:
        """What went wrong with it."""
        notes, self._notes = self._notes, []
        return notes

    def account(self) -> dict[str, Any]:
        """Its command line."""
        return {"command": self._argv}

    def dump(self) -> dict[str, Any]:
        """It keeps its own state, if any."""
        return {}

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._closed = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()

    def _proposals(self, out: str, view: View) -> list[Prepared]:
        if not out.strip():
            self._failed("it answered nothing")
            return []
        refused = None
        try:
            change = msgspec.json.decode(out, type=_Change)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            change, refused = _Change(files={}), f"the command's answer is not the JSON of docs/agents.md: {error}"
            self._failures += 1
        else:
            self._failures = 0
        proposal = Proposal(
            files={**view.asset, **change.files},
            hypothesis=change.hypothesis,
            predicted_effect=change.predicted_effect,
            agent=self.name,
            parent_sha256=view.asset_sha256,
            tokens_in=change.tokens_in,
            tokens_out=change.tokens_out,
            cost_usd=change.cost_usd,
            refused=refused,
        )
        return [Prepared(proposal=proposal)]

    def _failed(self, why: str) -> None:
        self._failures += 1
        last = self._failures >= _FAILURES
        self._notes.append(f"the agent's command failed: {why}; the search goes on" + (", and it is not asked again" if last else ""))


def describe(view: View) -> dict[str, Any]:
    """The state of a night as JSON: what a command is told."""
    plain: Mapping[str, Any] = {
        "format_version": FORMAT_VERSION,
        "program": view.program,
        "metric": view.task.metric,
        "editable_files": view.task.asset.files,
        "constants": {name: {"value": view.constants.get(name), **_set(r)} for name, r in view.task.constants.items()},
        "device": view.device.name,
        "profile": {
            "peak_flops": view.profile.peak_flops,
            "bandwidth_bytes_per_s": view.profile.bandwidth_bytes_per_s,
            "usable_memory_bytes": view.profile.usable_memory_bytes,
        },
        "budget_s": view.preset.budget_s,
        "seconds_left": view.seconds_left,
        "seconds_per_run": view.seconds_per_run,
        "incumbent": {"experiment": view.incumbent, "score": view.incumbent_score, "files": dict(view.asset)},
        "baseline_score": view.baseline_score,
        "noise_sd": view.noise_sd,
        "experiments": [
            {
                "experiment": e.experiment,
                "parent": e.parent,
                "agent": e.agent,
                "hypothesis": e.hypothesis,
                "verdict": e.verdict,
                "reason": e.reason,
                "difference": e.difference,
                "constants": view.configurations.get(e.experiment),
                "diff": e.diff,
            }
            for e in view.experiments
        ],
    }
    described: dict[str, Any] = msgspec.to_builtins(plain)
    return described


def _set(record: Record) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in msgspec.to_builtins(record).items() if value not in (None, "")}
