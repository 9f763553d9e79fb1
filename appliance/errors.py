"""The errors a person can meet, and their exit codes.

    ApplianceError            1   something failed; the message says what to do
    ├── UsageError            2   what was asked for cannot be asked for
    ├── PrerequisiteError     3   something is missing; the message names the mend
    └── SandboxError          1   the engine or our own plumbing failed, not the program inside (retried)

A program that failed inside a sandbox is a value (`records.ExecResult`), never one of these. They are caught once, in `cli`.
"""


class ApplianceError(Exception):
    """Something failed. The message is one line: what, where, how to mend."""

    exit_code = 1


class UsageError(ApplianceError):
    """A value from the command line or a file is wrong; nothing was changed."""

    exit_code = 2


class PrerequisiteError(ApplianceError):
    """The machine lacks something; the message names the exact mend."""

    exit_code = 3


class SandboxError(ApplianceError):
    """The sandbox itself failed (engine gone, image missing): says nothing about the program inside."""
