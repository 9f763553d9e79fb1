"""Opening a stranger's bundle: hostile input until every check has passed. Nothing of it is run or written before that.

The strictest check is the last: packing what was read must give the same bytes. So there is no second way to write a bundle, and nothing
can hide in headers, padding, links, sparse members, compression or behind the end. What remains hostile afterwards is the code in it, which
runs in the sandbox alone.
"""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from appliance.errors import UsageError
from appliance.exchange.bundle import FOLDERS, MAX_BYTES, MAX_FILES, SUMS, BundleManifest, pack
from appliance.records import FORMAT_VERSION, NightPlan

_MAX_ARCHIVE = MAX_BYTES + 1024 * (MAX_FILES + 16) + 10240
_SINGLE = ("manifest.json", "plan.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle whose bytes are what its sums say. Whether its claims are true is what a reproduction finds out."""

    sha256: str
    """Of the archive."""
    manifest: BundleManifest
    plan: NightPlan
    winner: dict[str, str]
    baseline: dict[str, str]
    task: dict[str, bytes]
    """Path below the task's folder → content."""
    image_lock: dict[str, str]


def open_bundle(path: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        UsageError: it is not a bundle, was changed, is too large, or was written by a newer version; the message says which.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_ARCHIVE + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    return read_bundle(raw, path.name)


def read_bundle(raw: bytes, name: str) -> Bundle:
    """The same for bytes at hand."""
    if len(raw) > _MAX_ARCHIVE:
        raise UsageError(f"{name} is larger than a bundle can be ({MAX_BYTES >> 20} MiB)")
    files = _members(raw, name)
    sums = files.pop(SUMS, None)
    if sums is None or any(single not in files for single in _SINGLE):
        raise UsageError(f"{name} is not a bundle: {SUMS}, manifest.json or plan.json is missing")
    expected = "".join(f"{hashlib.sha256(content).hexdigest()}  {member}\n" for member, content in sorted(files.items()))
    if expected.encode() != sums:
        stated = set(sums.decode("utf-8", errors="replace").splitlines())
        wrong = next((line.split("  ", 1)[1] for line in expected.splitlines() if line not in stated), SUMS)
        raise UsageError(f"{name} was changed after it was made: {wrong!r} does not have the SHA-256 that the bundle states")
    if pack(files) != raw:
        raise UsageError(f"{name} was changed after it was made: its archive is not written the way bundles are")
    _refuse_newer(files["manifest.json"], name)
    try:
        manifest = msgspec.json.decode(files["manifest.json"], type=BundleManifest)
        plan = msgspec.json.decode(files["plan.json"], type=NightPlan)
        folders = {folder: _below(files, folder) for folder in FOLDERS}
        texts = {
            folder: {member: content.decode() for member, content in folders[folder].items()} for folder in FOLDERS if folder != "task"
        }
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is not a bundle of this version: {error}") from None
    _agree(manifest, plan, name)
    for folder in ("winner", "baseline", "task"):
        if not folders[folder]:
            raise UsageError(f"{name} is not a bundle: it holds no file in {folder}/")
    return Bundle(
        sha256=hashlib.sha256(raw).hexdigest(),
        manifest=manifest,
        plan=plan,
        winner=texts["winner"],
        baseline=texts["baseline"],
        task=folders["task"],
        image_lock=texts["image"],
    )


def write_task(bundle: Bundle, folder: Path) -> None:
    """Write the bundle's task into the empty `folder`; plain files, not executable."""
    for member, content in bundle.task.items():
        target = folder / member
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            out.write(content)


def _members(raw: bytes, name: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for info in archive:
                if info.type != tarfile.REGTYPE or info.pax_headers or info.name in files:
                    raise UsageError(f"{name} is not a bundle: {info.name[:80]!r} is no plain file, or is there twice")
                _safe(info.name, name)
                total += info.size
                if len(files) >= MAX_FILES + 1 or total > MAX_BYTES + (1 << 20):
                    raise UsageError(f"{name} holds more than a bundle may")
                member = archive.extractfile(info)
                files[info.name] = member.read(info.size) if member else b""
    except (tarfile.TarError, EOFError, ValueError, OverflowError, MemoryError, OSError) as error:
        raise UsageError(f"{name} is not a bundle: {error}") from None
    for member_name in files:
        for parent in PurePosixPath(member_name).parents:
            if parent.as_posix() in files:
                raise UsageError(f"{name} is not a bundle: {parent.as_posix()[:80]!r} is a file and a folder")
    return files


def _safe(member: str, name: str) -> None:
    path = PurePosixPath(member)
    plain = member.isascii() and member.isprintable() and "\\" not in member and len(member) <= 200 and path.as_posix() == member
    inside = not path.is_absolute() and ".." not in path.parts and len(path.parts) <= 8
    known = member in {*_SINGLE, SUMS} or (len(path.parts) > 1 and path.parts[0] in FOLDERS)
    if not (plain and inside and known):
        raise UsageError(f"{name} is not a bundle: it names {member[:80]!r}")


def _below(files: dict[str, bytes], folder: str) -> dict[str, bytes]:
    return {name.removeprefix(f"{folder}/"): content for name, content in files.items() if name.startswith(f"{folder}/")}


def _refuse_newer(manifest: bytes, name: str) -> None:
    try:
        value = msgspec.json.decode(manifest)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"{name} is not a bundle: its manifest is no JSON: {error}") from None
    version = value.get("format_version") if isinstance(value, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UsageError(f"{name} was written by a newer version (format {version}, known {FORMAT_VERSION}): upgrade to open it")


def _agree(manifest: BundleManifest, plan: NightPlan, name: str) -> None:
    pairs = {
        "night_id": (manifest.night_id, plan.night_id),
        "task": (manifest.task, plan.task.name),
        "task_sha256": (manifest.task_sha256, plan.task_sha256),
        "preset": (manifest.preset, plan.preset),
        "image_digest": (manifest.image_digest, plan.image_digest),
        "data_sha256": (manifest.data_sha256, plan.data_sha256),
        "transfer_sha256": (manifest.transfer_sha256, plan.transfer_sha256),
        "device": (manifest.device, plan.device),
        "baseline_sha256": (manifest.baseline_sha256, plan.baseline_sha256),
    }
    for what, (claimed, planned) in pairs.items():
        if claimed != planned:
            raise UsageError(f"{name}: its manifest and its plan disagree about {what}")
    if wrong := manifest.contradiction():
        raise UsageError(f"{name}: its pairs and its interval disagree about {wrong}")
