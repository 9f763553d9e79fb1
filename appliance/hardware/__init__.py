"""Which devices this machine has, which one to use, and what the host reads beside a run. Owner of the NVML binding."""

from appliance.hardware.describe import describe
from appliance.hardware.monitor import Monitor
from appliance.hardware.problems import Problem, Survey
from appliance.hardware.select import choose, detect, idle, survey

__all__ = ["Monitor", "Problem", "Survey", "choose", "describe", "detect", "idle", "survey"]
