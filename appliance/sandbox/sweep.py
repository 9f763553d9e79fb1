"""Labels by which containers and volumes of killed processes are found. Their folders tell it by their names: `temporary`."""

from collections.abc import Mapping

from appliance import temporary

OURS = "overnight-appliance"
"""Label of every container and volume."""


def label_name(key: str) -> str:
    """Engine label of one of a spec's labels: `night` → `overnight-appliance.night`."""
    return f"{OURS}.{key}"


def owner_label() -> dict[str, str]:
    """Label that tells whose a container or volume is."""
    return {label_name("owner"): temporary.owner()}


def owner_lives(labels: Mapping[str, str] | None) -> bool:
    """Whether the process that made something is still there: then nobody else removes it."""
    return temporary.lives((labels or {}).get(label_name("owner"), ""))
