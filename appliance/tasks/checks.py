"""A task's checks on an artifact: small programs of the task's author, run on the host in processes of their own, without the asset.

They read hostile bytes, so each runs isolated (`-I` is the task's business), with limits on memory and time, and an empty environment.
"""

import resource
import subprocess
from pathlib import Path
from typing import Literal

from appliance.records import Reason
from appliance.tasks.estimate import host_command
from appliance.tasks.load import LoadedTask

_MEMORY_BYTES = 1 << 30


def run_checks(loaded: LoadedTask, at: Literal["mark", "end"], artifact: Path) -> tuple[Reason, str] | None:
    """The first check of that moment which does not pass, with its sentence; None when all pass."""
    for check in loaded.task.checks:
        if check.at != at:
            continue
        argv = [*host_command(check.command), str(artifact)]
        try:
            done = subprocess.run(
                argv,
                cwd=loaded.folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=check.timeout_s,
                check=False,
                env={"LC_ALL": "C.UTF-8"},
                preexec_fn=_limit,
            )
        except subprocess.TimeoutExpired:
            return Reason.ARTIFACT_NOT_ALLOWED, f"{check.name}: took longer than {check.timeout_s:g} s"
        if done.returncode:
            lines = (done.stdout.strip() or done.stderr.strip() or "refused without a reason").splitlines()
            return Reason.ARTIFACT_NOT_ALLOWED, f"{check.name}: {lines[-1][:300]}"
    return None


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
