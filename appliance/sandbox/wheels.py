"""The wheelhouse: packages of the image, downloaded on the host with pip so that the build needs no network."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from appliance.errors import ApplianceError
from appliance.paths import cache

LOCK = "wheels.json"
"""File of a wheelhouse: name of each wheel → its sha256. Written last: a wheelhouse without it is unfinished."""

PLATFORMS = {
    "amd64": ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64"),
    "arm64": (
        "manylinux_2_34_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_27_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ),
}


@contextmanager
def locked(name: str) -> Iterator[Path]:
    """A folder of the cache, held by one process at a time."""
    folder = cache() / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder


def wheelhouse(
    requirements: str, *, python: str, architecture: str, index: str | None, progress: Callable[[str], None]
) -> tuple[Path, dict[str, str]]:
    """Folder with a wheel for each requirement and all it needs, and its lock (wheel → sha256).

    `python` is the image's version, `3.11`; `architecture` the engine's, `amd64`. pip uses its own configuration, with `index` in it.

    Raises:
        ApplianceError: pip found no such wheel or no network; the message is pip's last line.
    """
    key = hashlib.sha256(msgspec.json.encode([requirements, python, architecture, index])).hexdigest()[:16]
    with locked("wheelhouse") as root:
        folder = root / f"{python}-{architecture}-{key}"
        lock = folder / LOCK
        if lock.is_file():
            wheels = msgspec.json.decode(lock.read_bytes(), type=dict[str, str])
            if all((folder / name).is_file() for name in wheels):
                return folder, wheels
        shutil.rmtree(folder, ignore_errors=True)
        progress(f"downloading the image's packages for Python {python} on {architecture}")
        with tempfile.TemporaryDirectory(dir=root, prefix=".part-") as part:
            _download(requirements, Path(part), python, architecture, index)
            wheels = {file.name: _sha256(file) for file in sorted(Path(part).glob("*.whl"))}
            (Path(part) / LOCK).write_bytes(msgspec.json.format(msgspec.json.encode(wheels)))
            Path(part).rename(folder)
            Path(part).mkdir()  # so that leaving the context finds what it removes
        return folder, wheels


def _download(requirements: str, folder: Path, python: str, architecture: str, index: str | None) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")
    if (python, architecture) != (here, machine):
        tag = python.replace(".", "")
        command += ["--python-version", python, "--implementation", "cp", "--abi", f"cp{tag}", "--abi", "abi3", "--abi", "none"]
        for platform in PLATFORMS[architecture]:
            command += ["--platform", platform]
    if index is not None:
        command += ["--index-url", index]
    listed = folder / "requirements.txt"
    listed.write_text(requirements)
    done = subprocess.run([*command, "--requirement", str(listed)], capture_output=True, text=True, check=False)
    listed.unlink()
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["pip said nothing"]
        raise ApplianceError(f"pip could not download the image's packages for Python {python} on {architecture}: {lines[-1].strip()}")


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
