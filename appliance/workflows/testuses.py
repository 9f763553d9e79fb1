"""How often a sealed test split has been looked at on this machine: each night that confirms on it wears it out a little."""

import json
import os
from pathlib import Path

from appliance import paths


def _file() -> Path:
    return paths.state() / "test-uses.json"


def uses(data_sha256: str) -> list[str]:
    """Nights that confirmed on this data's test split."""
    try:
        known = json.loads(_file().read_text())
    except (OSError, ValueError):
        return []
    return [str(night) for night in known.get(data_sha256, [])]


def count(data_sha256: str, night_id: str) -> None:
    """Note that a night looked at it; once per night."""
    file = _file()
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    nights = known.setdefault(data_sha256, [])
    if night_id in nights:
        return
    nights.append(night_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(known, indent=1, sort_keys=True))
    temporary.replace(file)
