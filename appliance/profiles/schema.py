"""JSON Schema 2020-12 of both file kinds, generated from the records. `python -m appliance.profiles.schema` writes `profiles/schema`."""

from pathlib import Path
from typing import Any

import msgspec

from appliance import paths
from appliance.profiles.files import write_json
from appliance.records import Datasheet, Measurement

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema."""
    return {"datasheet.schema.json": _schema(Datasheet), "measurement.schema.json": _schema(Measurement)}


def write(folder: Path | None = None) -> list[Path]:
    """Write both below `folder` (default: the shipped profiles)."""
    target = folder or paths.share("profiles") / "schema"
    written = []
    for name, schema in schemas().items():
        write_json(target / name, schema)
        written.append(target / name)
    return written


def _schema(kind: type) -> dict[str, Any]:
    return {"$schema": _DRAFT, **msgspec.json.schema(kind)}


if __name__ == "__main__":
    for path in write():
        print(path.name)
