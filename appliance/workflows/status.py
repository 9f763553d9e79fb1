"""Looking at a running night from another terminal, and ending it."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from appliance import ledger
from appliance.errors import UsageError

_STOP_WAIT_S = 60.0


def status(folder: Path) -> dict[str, Any]:
    """Where a night stands; reads only."""
    night = ledger.standing(folder)
    holder = ledger.night_holder(folder)
    last = night.experiments[-1] if night.experiments else None
    return {
        "night": night.plan.night_id,
        "running": holder is not None,
        "pid": holder.pid if holder else None,
        "phase": night.state.phase,
        "device": night.plan.device.name,
        "hours": night.plan.hours,
        "runs": len(night.runs),
        "runs_invalid": sum(run["status"] == "invalid" for run in night.runs),
        "experiments": len(night.experiments),
        "kept": sum(one["incumbent"] == one["experiment"] for one in night.experiments),
        "incumbent": last["incumbent"] if last else 0,
        "last_verdict": f"{last['experiment']} {last['verdict']}" if last else None,
        "ended_why": night.state.ended_why,
        "folder": str(folder),
        "log": str(log) if (log := ledger.own_log_path(folder)).exists() else None,
    }


def stop(folder: Path) -> str:
    """Ask the process of a night to end, and wait for it.

    Raises:
        UsageError: nobody runs it.
    """
    holder = ledger.night_holder(folder)
    if holder is None:
        raise UsageError(f"night {folder.name} is not running")
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGTERM)
    until = time.monotonic() + _STOP_WAIT_S
    while time.monotonic() < until:
        if ledger.night_holder(folder) is None:
            return f"stopped; its page: {folder / 'report.html'}"
        time.sleep(0.2)
    return f"asked process {holder.pid} to end; it is still at it"
