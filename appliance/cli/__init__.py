"""The command line: parse, call one function, print. Nothing heavy is imported before a command runs."""

from appliance.cli.main import main

__all__ = ["main"]
