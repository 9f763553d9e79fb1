"""Prepared splits: made once per (task, dataset, source, code, parameters), found again, and known by the hash of their bytes.

    <cache>/prepared/<task>-<dataset>-<12 hex of the key>/
        <split>/…          what the task's prepare command wrote
        prepared.json      PreparedData, written last

Two that want the same at once: the second waits and finds it. A folder whose files changed since is made again.
"""

import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from appliance import paths
from appliance.data.files import files_below, fresh, locked, settle, sha256_of
from appliance.errors import ApplianceError, UsageError
from appliance.records import FORMAT_VERSION, Record
from appliance.records.base import Count, Sha256

_MANIFEST = "prepared.json"


class PreparedFile(Record, frozen=True, kw_only=True):
    """One file below a prepared folder."""

    sha256: Sha256
    bytes: Count
    mtime_ns: int
    """With the size: a cheap sign that nobody touched it since it was hashed."""


class PreparedData(Record, frozen=True, kw_only=True):
    """A dataset that a task's prepare command has made ready."""

    format_version: int = FORMAT_VERSION
    task: str
    dataset: str
    key: Sha256
    """Digest of everything it was made from."""
    sha256: Sha256
    """Over all prepared bytes and their paths."""
    splits: dict[str, Sha256]
    """The same per split."""
    bytes: Count
    files: dict[str, PreparedFile]
    prepared_at: str

    @property
    def folder(self) -> Path:
        """Where it lies on this machine."""
        return _folder(self.task, self.dataset, self.key)


def code_digest(files: Iterable[Path]) -> str:
    """Digest over the names and contents of a prepare command's files, hex; folders count with all below them, caches do not."""
    digest = hashlib.sha256()
    for entry in sorted(files, key=lambda path: path.name):
        members = files_below(entry) if entry.is_dir() else [entry]
        for path in members:
            if "__pycache__" not in path.parts:
                digest.update(f"{sha256_of(path)}  {path.relative_to(entry.parent).as_posix()}\n".encode())
    return digest.hexdigest()


def key_of(*, task: str, dataset: str, sources: Mapping[str, str], code: str, params: Mapping[str, Any]) -> str:
    """Digest of all that prepared splits depend on: names, digest per source, digest of the code, parameters of the command."""
    whole = {
        "task": task,
        "dataset": dataset,
        "sources": dict(sources),
        "code": code,
        "params": dict(params),
        "format_version": FORMAT_VERSION,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def find(task: str, dataset: str, key: str) -> PreparedData | None:
    """What was prepared under this key, None where nothing was or where its files are no longer what was written.

    Raises:
        UsageError: a newer version of this package wrote it.
    """
    folder = _folder(task, dataset, key)
    try:
        data = _read(folder / _MANIFEST)
        whole = data.key == key and all(_unchanged(folder / name, file) for name, file in data.files.items())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return data if whole else None


def prepared(task: str, dataset: str, key: str, make: Callable[[Path], None]) -> PreparedData:
    """What is stored under `key`; where nothing is, `make` fills an empty folder with one folder per split, and that is stored.

    `make` may raise: then nothing is stored and nothing is left behind.

    Raises:
        ApplianceError: `make` left no split, or something that is not a file.
    """
    folder = _folder(task, dataset, key)
    with locked(folder.with_name(folder.name + ".lock")):
        data = find(task, dataset, key)
        if data:
            return data
        making = fresh(folder.with_name(folder.name + ".making"))
        try:
            make(making)
            data = _seal(task, dataset, key, making)
            if folder.exists():
                shutil.rmtree(folder)
            settle(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return data


def splits(folder: Path) -> dict[str, Path]:
    """Name of each split below a prepared folder → its folder."""
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}


def _seal(task: str, dataset: str, key: str, folder: Path) -> PreparedData:
    try:
        found = files_below(folder)
    except ValueError as error:
        raise ApplianceError(f"dataset {dataset}: the prepare command left {error}") from None
    names = list(splits(folder))
    if not names or any(not any(files_below(folder / name)) for name in names):
        raise ApplianceError(f"dataset {dataset}: the prepare command left no split, or an empty one")
    files: dict[str, PreparedFile] = {}
    for path in found:
        path.chmod(0o644)
        state = path.stat()
        files[path.relative_to(folder).as_posix()] = PreparedFile(sha256=sha256_of(path), bytes=state.st_size, mtime_ns=state.st_mtime_ns)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)
    data = PreparedData(
        task=task,
        dataset=dataset,
        key=key,
        sha256=_digest(files, ""),
        splits={name: _digest(files, f"{name}/") for name in names},
        bytes=sum(file.bytes for file in files.values()),
        files=files,
        prepared_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    (folder / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=1))
    return data


def _digest(files: Mapping[str, PreparedFile], prefix: str) -> str:
    lines = (f"{file.sha256}  {name.removeprefix(prefix)}\n" for name, file in sorted(files.items()) if name.startswith(prefix))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read(manifest: Path) -> PreparedData:
    raw = manifest.read_bytes()
    version = msgspec.json.decode(raw).get("format_version", 0)
    if version > FORMAT_VERSION:
        raise UsageError(
            f"{manifest} was written by a newer version (format {version}, known {FORMAT_VERSION}): upgrade, or delete its folder"
        )
    return msgspec.json.decode(raw, type=PreparedData)


def _unchanged(path: Path, file: PreparedFile) -> bool:
    state = path.stat()
    if state.st_size != file.bytes:
        return False
    return state.st_mtime_ns == file.mtime_ns or sha256_of(path) == file.sha256


def _folder(task: str, dataset: str, key: str) -> Path:
    return paths.cache() / "prepared" / f"{task}-{dataset}-{key[:12]}"
