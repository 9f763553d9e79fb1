"""Pages: the report of a night, the published site, the comparison of nights, the live page. Knows nothing of what a task measures."""

from appliance.report.page import render, write

__all__ = ["render", "write"]
