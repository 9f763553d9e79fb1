"""One spelling of a JSON value, and its hash: sorted keys, no spaces, UTF-8, no NaN. What `sha256` in every profile file is made of."""

import hashlib
import json
from typing import Any

import msgspec

from appliance.records import Record


def plain(value: Record | Any) -> Any:
    """Records as dicts and lists, ready for JSON."""
    return msgspec.to_builtins(value)


def canonical_json(value: Record | Any) -> bytes:
    """The canonical text.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def canonical_sha256(value: Record | Any) -> str:
    """SHA-256 of the canonical text, without a top-level `sha256` key: a file can carry its own."""
    body = plain(value)
    if isinstance(body, dict):
        body = {key: item for key, item in body.items() if key != "sha256"}
    return hashlib.sha256(canonical_json(body)).hexdigest()
