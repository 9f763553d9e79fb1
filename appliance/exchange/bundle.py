"""A night's result in one small file that a stranger can check and repeat: no data, no image; both are rebuilt and checked by digest.

    manifest.json   what it claims and under which digests
    plan.json       the night's plan, without what identifies the machine
    winner/ baseline/ task/ image/   files as they were used
    SHA256SUMS      of all of the above

A plain USTAR archive, members sorted, times and owners zero: the same night gives the same bytes. There is no signature: whoever needs to
know that nobody replaced the whole bundle compares its own SHA-256. Opening one is done in `unbundle`.
"""

import hashlib
import io
import math
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated

import msgspec

from appliance import __version__
from appliance.errors import UsageError
from appliance.exchange.whole import write_whole
from appliance.records import FORMAT_VERSION, Confirmation, Device, Estimate, NightPlan, Preset, Record
from appliance.records.base import Sha256

MAX_FILES = 2_000
MAX_BYTES = 32 << 20
SUMS = "SHA256SUMS"
FOLDERS = ("baseline", "image", "task", "winner")

Word = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$")]
"""A name that may be shown as it is."""


class Pair(Record, frozen=True, kw_only=True):
    """Scores on test of baseline and winner with one seed."""

    seed: int
    baseline: float
    winner: float


class BundleManifest(Record, frozen=True, kw_only=True):
    """What a bundle claims."""

    format_version: int = FORMAT_VERSION
    made_by: Word
    """Version of the package that wrote it."""
    night_id: Word
    task: Word
    task_sha256: Sha256
    preset_name: Word
    preset: Preset
    device: Device
    """What it ran on; a result is compared only within the class of this device."""
    profile_sha256: str
    image_digest: str | None
    data_sha256: Sha256 | None
    transfer_sha256: Sha256 | None
    isolation: str
    baseline_sha256: Sha256
    winner_sha256: Sha256
    pairs: list[Pair]
    """The confirmation's: what fresh pairs are to give is computed from them. A reproduction takes other seeds."""
    expected: Estimate | None
    """Winner minus baseline on the test split, with its interval; None where the night was not confirmed."""
    confirmation: Confirmation | None

    def contradiction(self) -> str | None:
        """What the pairs and the estimate do not agree about; None where they do."""
        if len(self.pairs) != (self.expected.pairs if self.expected else 0):
            return "the number of pairs"
        if self.expected is None:
            return None
        mean = fmean(pair.winner - pair.baseline for pair in self.pairs)
        return None if math.isclose(mean, self.expected.difference, rel_tol=1e-9, abs_tol=1e-12) else "the difference"


def write_bundle(
    path: Path,
    *,
    plan: NightPlan,
    confirmation: Confirmation | None,
    winner_sha256: str,
    winner: Mapping[str, str],
    baseline: Mapping[str, str],
    task_folder: Path,
    image_lock: Mapping[str, str],
    pairs: Sequence[Pair],
) -> str:
    """Write a bundle, whole or not at all.

    Args:
        path: The file to write.
        plan: The night's.
        confirmation: What was found; its `test` estimate is what a reproduction is held against.
        winner_sha256: Asset of the winner.
        winner: File → text.
        baseline: File → text.
        task_folder: Taken whole, without caches.
        image_lock: File → text: what the image is rebuilt from.
        pairs: The confirmation's on the test split, in their order.

    Returns:
        SHA-256 of the bundle.

    Raises:
        UsageError: an imported night, pairs that are not those of the confirmation, or a task folder that is no small folder of plain
            files.
    """
    if plan.imported:
        raise UsageError(f"night {plan.night_id} is imported: there is nothing of it that could be run again")
    device = msgspec.structs.replace(plan.device, uuid=None, processes=None)
    manifest = BundleManifest(
        made_by=__version__,
        night_id=plan.night_id,
        task=plan.task.name,
        task_sha256=plan.task_sha256,
        preset_name=plan.preset_name,
        preset=plan.preset,
        device=device,
        profile_sha256=plan.profile.sha256,
        image_digest=plan.image_digest,
        data_sha256=plan.data_sha256,
        transfer_sha256=plan.transfer_sha256,
        isolation=plan.isolation,
        baseline_sha256=plan.baseline_sha256,
        winner_sha256=winner_sha256,
        pairs=list(pairs),
        expected=next((e for e in confirmation.estimates if e.split == "test"), None) if confirmation else None,
        confirmation=confirmation,
    )
    if wrong := manifest.contradiction():
        raise UsageError(f"night {plan.night_id}: its runs and its confirmation disagree about {wrong}: nothing was bundled")
    public = msgspec.structs.replace(plan, device=device, task_source=plan.task.name, agent_options={}, command=[])  # paths of this machine
    files = {"manifest.json": _json(manifest), "plan.json": _json(public)}
    for folder, texts in (("winner", winner), ("baseline", baseline), ("image", image_lock)):
        files |= {f"{folder}/{name}": text.encode() for name, text in texts.items()}
    files |= {f"task/{name}": content for name, content in _folder(task_folder).items()}
    raw = pack(files)
    write_whole(path, raw)
    return hashlib.sha256(raw).hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files, with SHA256SUMS over them; the same files give the same bytes.

    Raises:
        UsageError: more than a bundle may hold, or a name too long for the archive.
    """
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_BYTES:
        raise UsageError(f"a bundle holds at most {MAX_FILES:,} files and {MAX_BYTES >> 20} MiB")
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in (*sorted(files.items()), (SUMS, sums.encode())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.mode = 0o644
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError:
                raise UsageError(f"{name!r}: the name is too long for a bundle") from None
    return out.getvalue()


def _json(record: Record) -> bytes:
    return msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=1) + b"\n"


def _folder(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in names:
            path = Path(parent, name)
            if name.startswith("."):
                continue
            if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES or len(found) > MAX_FILES:
                raise UsageError(f"{path}: a task that is bundled is a small folder of plain files")
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
