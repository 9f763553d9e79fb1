"""Profile files on disk: where they lie, how they are read, refused and written.

    <root>/<vendor>/<pci id>-<slug>/datasheet.json
    <root>/<vendor>/<pci id>-<slug>/<benchmark version>-<date>-<sha8>.json

Roots: the shipped folder, and what this machine measured itself.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from appliance import paths
from appliance.errors import UsageError
from appliance.profiles.canonical import canonical_sha256, plain
from appliance.records import FORMAT_VERSION, Datasheet, Measurement

MAX_BYTES = 4 << 20
"""No profile is larger; a file that is was not written by this program."""

_R = TypeVar("_R", Datasheet, Measurement)


def roots() -> list[Path]:
    """Shipped profiles, then this machine's own."""
    return [paths.share("profiles"), own_root()]


def own_root() -> Path:
    """Where `store` writes."""
    return paths.state() / "profiles"


def read_measurement(path: Path) -> Measurement:
    """A measurement whose schema and hash hold.

    Raises:
        UsageError: unreadable, truncated, too new, wrong field, not finite, or its hash does not match its content.
    """
    return parse_measurement(path.name, _text(path))


def parse_measurement(name: str, text: str) -> Measurement:
    """As `read_measurement`, from text; `name` stands in the messages."""
    body = _body(name, text)
    measurement = _convert(name, body, Measurement)
    if measurement.sha256 is None:
        raise UsageError(f"{name}: sha256 is missing, so nobody can tell whether it was edited; measure again.")
    if measurement.sha256 != canonical_sha256(body):
        raise UsageError(f"{name}: sha256 does not match the content: the file was edited or truncated; use the original.")
    return measurement


def read_datasheet(path: Path) -> Datasheet:
    """A datasheet.

    Raises:
        UsageError: as for `read_measurement`, without a hash.
    """
    name = f"{path.parent.name}/{path.name}"
    return _convert(name, _body(name, _text(path)), Datasheet)


def store(measurement: Measurement, root: Path | None = None) -> Path:
    """Write a measurement, with its hash, in the folder of its device kind. The same measurement twice is one file. Returns its path."""
    body: dict[str, Any] = plain(measurement)
    body["sha256"] = canonical_sha256(body)
    device = measurement.device
    folder = (root or own_root()) / vendor(device) / folder_name(device)
    name = f"{measurement.benchmark_version}-{measurement.measured_at[:10]}-{body['sha256'][:8]}.json"
    write_json(folder / name, body)
    return folder / name


def vendor(device: dict[str, Any]) -> str:
    """`nvidia` for what NVML reports; a CPU's from its model name."""
    if device.get("kind") == "cuda":
        return "nvidia"
    first = str(device.get("name", "")).lower().split(" ", 1)[0]
    known = {"amd": "amd", "intel(r)": "intel", "intel": "intel", "arm": "arm", "apple": "apple"}
    return known.get(first, "other")


def folder_name(device: dict[str, Any]) -> str:
    """`<vendor>-<device>-<slug>` for a PCI board, `cpu-<slug>` for a CPU, `<slug>` where no PCI id is known."""
    if device.get("kind") == "cpu":
        return f"cpu-{device['slug']}"
    pci = device.get("pci_id")
    head = "-".join(str(pci).split(":")[:2]) + "-" if pci else ""
    return f"{head}{device['slug']}"


def measurement_files(root: Path) -> Iterator[Path]:
    """Every measurement below a root, in the order of their names."""
    yield from sorted(path for path in root.glob("*/*/*.json") if path.name != "datasheet.json")


def newest_own() -> Path:
    """The newest measurement made on this machine.

    Raises:
        UsageError: there is none.
    """
    own = list(measurement_files(own_root()))
    if not own:
        raise UsageError("nothing was measured on this machine yet: `appliance profile measure --full` does it")
    return max(own, key=lambda path: path.stat().st_mtime)


def datasheet_files(root: Path) -> Iterator[Path]:
    """Every datasheet below a root."""
    yield from sorted(root.glob("*/*/datasheet.json"))


def write_json(path: Path, body: Any) -> None:
    """Whole or not at all: temporary name, fsync, rename, fsync of the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path.name}: larger than {MAX_BYTES >> 20} MiB: not a profile.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name}: not UTF-8 text (byte {error.start}): not a profile.") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}.") from error


def _body(name: str, text: str) -> dict[str, Any]:
    try:
        body = json.loads(text, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise UsageError(f"{name}: not JSON, or truncated: {error}.") from error
    if not isinstance(body, dict):
        raise UsageError(f"{name}: a profile is a JSON object.")
    version = body.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UsageError(f"{name}: schema_version must be a whole number from 1, not {version!r}.")
    if version > FORMAT_VERSION:
        raise UsageError(f"{name}: schema_version {version} is newer than this program reads ({FORMAT_VERSION}); update the appliance.")
    where = _not_finite(body, "")
    if where:
        raise UsageError(f"{name}: {where} is not a finite number; an unknown number is null.")
    return body


def _convert(name: str, body: dict[str, Any], kind: type[_R]) -> _R:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{name}: {error}.") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(f"key {sorted(twice)[0]!r} stands twice")
    return dict(pairs)


def _not_finite(value: Any, where: str) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return where.lstrip(".") or "a value"
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return next((found for key, item in items if (found := _not_finite(item, f"{where}.{key}"))), None)
