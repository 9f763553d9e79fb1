"""Where things lie: the shared data folders, the nights, the caches. The one module that knows."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def share(name: str) -> Path:
    """A folder of data, such as `trainer` or `profiles`: beside the package in a checkout, inside it in an installed wheel."""
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def nights() -> Path:
    """Root of all nights: `APPLIANCE_NIGHTS`, else `./nights`."""
    return Path(os.environ.get("APPLIANCE_NIGHTS") or "nights").absolute()


def cache() -> Path:
    """What can be made again: fetched text, prepared splits, wheelhouses, base images. `APPLIANCE_CACHE`, else the XDG cache folder."""
    explicit = os.environ.get("APPLIANCE_CACHE")
    if explicit:
        return Path(explicit).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "overnight-appliance"


def state() -> Path:
    """What this machine learned and cannot fetch again: measured profiles, locks, counts of test-split uses.

    `APPLIANCE_STATE`, else the XDG data folder.
    """
    explicit = os.environ.get("APPLIANCE_STATE")
    if explicit:
        return Path(explicit).absolute()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "overnight-appliance"
