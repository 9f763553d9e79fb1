"""Text on disk: fetched as it is published, pinned by hash; prepared once and found again.

Knows folders, hashes and splits; nothing of what the bytes mean. What turns raw text into splits is the task's own command, run in a
sandbox by whoever calls `prepared`.
"""

from appliance.data.fetch import fetch, source_digest
from appliance.data.progress import Progress, silent
from appliance.data.store import PreparedData, code_digest, find, key_of, prepared, splits

__all__ = ["PreparedData", "Progress", "code_digest", "fetch", "find", "key_of", "prepared", "silent", "source_digest", "splits"]
