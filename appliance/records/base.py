"""What every record shares: frozen, keyword-only, unknown keys refused, versioned on disk.

msgspec validates types where a record is read (task.toml, night.json, profiles) and generates the JSON Schemas; range
checks live in the field types below. A missing number is None, never 0 and never infinity.
"""

from typing import Annotated

import msgspec

FORMAT_VERSION = 1
"""Version of every format this package writes. A newer one on disk is refused."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
PositiveInt = Annotated[int, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records."""
