"""What a configuration will cost, asked of the task's `[estimate]` command before anything runs.

The command is the task author's, runs on the host in a process of its own, and answers JSON with JSON; see `records.Task.estimate`.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from appliance.errors import ApplianceError
from appliance.records import Constant, Preset, Profile
from appliance.tasks.load import LoadedTask


class Estimator:
    """Predicted cost of configurations of one task on one profile."""

    def __init__(self, loaded: LoadedTask, preset: Preset, profile: Profile) -> None:
        self._loaded = loaded
        self._fixed = {"profile": msgspec.to_builtins(profile), "params": preset.params, "budget_s": preset.budget_s}

    def __call__(self, configurations: Sequence[Mapping[str, Constant]]) -> list[dict[str, Any]]:
        """One prediction per configuration: `seconds`, `memory_bytes`, `observables`; empty where the task cannot say.

        Raises:
            ApplianceError: the command failed or did not answer in its form.
        """
        command = self._loaded.task.estimate
        if command is None:
            return [{} for _ in configurations]
        argv = host_command(command.command)
        request = json.dumps({**self._fixed, "constants": [dict(c) for c in configurations]})
        try:
            done = subprocess.run(
                argv,
                input=request,
                cwd=self._loaded.folder,
                capture_output=True,
                text=True,
                timeout=command.timeout_s,
                check=False,
                env={"LC_ALL": "C.UTF-8"},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ApplianceError(f"the task's [estimate] command could not run: {error}") from error
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = None
        if done.returncode or not isinstance(answer, list) or len(answer) != len(configurations):
            cause = (done.stderr.strip().splitlines() or ["it did not answer with one entry per configuration"])[-1]
            raise ApplianceError(f"the task's [estimate] command failed: {cause[:300]}")
        return answer


def host_command(command: Sequence[str]) -> list[str]:
    """A task's command for the host: `{python}` stands for this interpreter."""
    return [part.replace("{python}", sys.executable) for part in command]
