"""Pages: the report of a night, the published site, the comparison of nights, the live page. Knows nothing of what a task measures."""

from appliance.report.compare import compare, comparison
from appliance.report.live import Address, Server
from appliance.report.page import render, write, write_text
from appliance.report.private import stripped
from appliance.report.profiles import profile_index
from appliance.report.site import Published, Source, fingerprint, publish

__all__ = [
    "Address",
    "Published",
    "Server",
    "Source",
    "compare",
    "comparison",
    "fingerprint",
    "profile_index",
    "publish",
    "render",
    "stripped",
    "write",
    "write_text",
]
