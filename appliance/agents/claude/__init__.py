"""Claude as the researcher: prompt, edit protocol, money, trouble. `agents.create` gives it to the night."""

from appliance.agents.claude.model import Model
from appliance.agents.claude.options import DEFAULT_MODEL, Options, options
from appliance.agents.claude.thinker import Claude

__all__ = ["DEFAULT_MODEL", "Claude", "Model", "Options", "options"]
