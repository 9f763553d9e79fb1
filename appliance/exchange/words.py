"""What the columns and statuses of others' files mean; pure functions over single cells. What is not listed is not understood."""

import math
import re

from appliance.records import Reason, Verdict

SCORES = (
    "val_bpb",
    "bits_per_byte",
    "bpb",
    "val_bits_per_byte",
    "val_loss",
    "score",
    "metric",
    "loss",
    "val_acc",
    "val_accuracy",
    "accuracy",
)
"""Column names of the metric, the most telling first."""
HIGHER = frozenset({"val_acc", "val_accuracy", "accuracy"})
COMMITS = frozenset({"commit", "commit_hash", "hash", "sha", "git", "git_sha"})
STATUSES = frozenset({"status", "verdict", "decision", "outcome", "result"})
DESCRIPTIONS = frozenset({"description", "desc", "change", "hypothesis", "idea", "notes", "note", "summary", "log"})
NUMBERING = frozenset({"experiment", "exp", "id", "no", "n", "index", "iter", "iteration", "trial", "parent"})
"""Columns that count rows: no observables."""
TIMES = frozenset({"timestamp", "started_at", "datetime", "time", "date", "decided_at"})

_OBSERVABLES: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("memory_gb", "mem_gb", "vram_gb", "peak_vram_gb", "peak_memory_gb"), ("peak_memory_bytes", 1e9)),
    **dict.fromkeys(("memory_mb", "mem_mb", "vram_mb", "peak_vram_mb", "peak_memory_mb"), ("peak_memory_bytes", 1e6)),
    **dict.fromkeys(("num_steps", "steps"), ("steps", 1)),
    **dict.fromkeys(("tok_per_sec", "tok_per_sec_median", "tokens_per_s", "tokens_per_sec"), ("tokens_per_s", 1)),
    **dict.fromkeys(("training_seconds", "train_seconds", "train_s"), ("train_s", 1)),
    **dict.fromkeys(("total_seconds", "total_s"), ("total_s", 1)),
    **dict.fromkeys(("num_params_m", "params_m"), ("params", 1e6)),
    **dict.fromkeys(("num_params", "params"), ("params", 1)),
    "peak_memory_bytes": ("peak_memory_bytes", 1),
    "mfu_percent": ("mfu", 0.01),
    "mfu": ("mfu", 1),
    "total_tokens_m": ("tokens", 1e6),
    "depth": ("depth", 1),
}
"""Column → our observable and the factor to its unit."""

_VERDICTS: dict[str, tuple[Verdict, Reason | None]] = {
    **dict.fromkeys(("keep", "kept", "accept", "accepted", "improved", "baseline", "best", "new_best"), (Verdict.KEPT, None)),
    "kept_simpler": (Verdict.KEPT_SIMPLER, None),
    **dict.fromkeys(("discard", "discarded", "revert", "reverted", "worse", "regressed"), (Verdict.WORSE, None)),
    **dict.fromkeys(("within_noise", "neutral", "tie", "equal", "inconclusive", "noise"), (Verdict.WITHIN_NOISE, None)),
    **dict.fromkeys(("crash", "crashed", "fail", "failed", "error"), (Verdict.FAILED, Reason.CRASH)),
    **dict.fromkeys(("oom", "out_of_memory"), (Verdict.FAILED, Reason.OUT_OF_MEMORY)),
    **dict.fromkeys(("timeout", "timed_out"), (Verdict.FAILED, Reason.TIMEOUT)),
    **dict.fromkeys(("nan", "diverged", "not_finite"), (Verdict.FAILED, Reason.NOT_FINITE)),
    "rejected": (Verdict.REJECTED, None),
    "refused": (Verdict.REFUSED, None),
}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def key_of(cell: str) -> str:
    """A column's name in one spelling: lower case, words joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", cell.strip().lower()).strip("_")


def number_of(cell: str) -> float | None:
    """A finite number written plainly, None for anything else (also `1,234`, whose meaning depends on who wrote it)."""
    if not _NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def observable_of(column: str) -> tuple[str, float] | None:
    """Our name for a numeric column and the factor to our unit; None for a column of their own."""
    return _OBSERVABLES.get(column)


def verdict_of(cell: str) -> tuple[Verdict, Reason | None] | None:
    """The verdict that a status of theirs states, with the failure it names; None: not one of the words known here."""
    return _VERDICTS.get(key_of(cell))
