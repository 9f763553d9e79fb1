"""Tasks as people write them: reading and checking `task.toml`, the constants of an asset, cost estimates, checks on an artifact."""

from appliance.tasks.checks import run_checks
from appliance.tasks.constants import read_constants, replace_constants
from appliance.tasks.estimate import Estimator
from appliance.tasks.example import write_example
from appliance.tasks.load import LoadedTask, find_preset, load
from appliance.tasks.proposals import Refusal, fingerprint, refuse, unified_diff
from appliance.tasks.removal import Removal, without

__all__ = [
    "Estimator",
    "LoadedTask",
    "Refusal",
    "Removal",
    "find_preset",
    "fingerprint",
    "load",
    "read_constants",
    "refuse",
    "replace_constants",
    "run_checks",
    "unified_diff",
    "without",
    "write_example",
]
