"""The sandbox's side of the protocol between host and sandbox: where things lie, three words out, two files in.

Does not cover evaluate, prepare and probe, which have no mark and no grant.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

POLL_S = 0.005
"""Between two looks for a file of the host's; the most that a grant is seen late."""


def folder(name: str) -> Path:
    """Folder `task`, `asset`, `data`, `control` or `out` of this sandbox.

    Raises: SystemExit where the variable is missing: not started by the appliance.
    """
    variable = f"APPLIANCE_{name.upper()}"
    if variable not in os.environ:
        raise SystemExit(f"{variable} is not set: a run is started by the appliance (see docs/protocol.md)")
    return Path(os.environ[variable])


def seed() -> int:
    """Seed of this run, known once the host has released it; everything random derives from it."""
    return int(wait("release").get("seed", 0))


def params() -> dict[str, Any]:
    """What the preset fixes for this command."""
    return json.loads(os.environ.get("APPLIANCE_PARAMS") or "{}")


def say(word: str) -> None:
    """Say one word of the protocol, first on a line of its own, past every buffer of the asset's."""
    os.write(1, f"\n::appliance {os.environ.get('APPLIANCE_NONCE', '-')} {word}\n".encode())


def wait(name: str) -> dict[str, Any]:
    """Wait until the host has written `control/<name>`; its JSON, or `{}` where it is empty. The host's clock ends a wait in vain."""
    path = folder("control") / name
    while not path.exists():
        time.sleep(POLL_S)
    text = path.read_text()
    return json.loads(text) if text.strip().startswith("{") else {}
