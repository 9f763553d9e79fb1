"""The image in which everything of a night runs, named by the digest of what it was built from."""

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker.errors
import msgspec
import requests

from appliance.errors import ApplianceError, PrerequisiteError, SandboxError
from appliance.paths import cache, share
from appliance.records import Record
from appliance.sandbox import engine
from appliance.sandbox.wheels import locked, wheelhouse

REPOSITORY = "overnight-appliance"
BASE_REPOSITORY = "overnight-appliance-base"
LABEL = "overnight-appliance.image"
"""Label of an image: its `Image` record as JSON, without the id and the size."""
KEY_LABEL = "overnight-appliance.key"
"""Label of an image: digest of its inputs without the wheels, so that an unchanged image is found without its wheelhouse."""
STAGE_LABEL = "overnight-appliance.stage"

SLIM = "python:3.12-slim"
FREE_BYTES = 5_000_000_000
BUILD_SILENCE_S = 900
_CHUNK = 1 << 20


class ImageOptions(Record, frozen=True, kw_only=True):
    """What a person may choose; part of the digest."""

    torch: str | None = None
    """Version of torch in place of the pinned one."""
    package_index: str | None = None
    """Package index in place of pip's configured one."""
    base_image: str | None = None
    """Image with Python 3.11 or newer; None: the official slim one where it can be pulled, else one made of the distribution's packages."""
    base_has_torch: bool = False
    """The base holds torch already (vendor images for arm64): it is used as it is."""


class Image(Record, frozen=True, kw_only=True):
    """A built image."""

    digest: str
    """sha256 over Dockerfile, requirements, the wheels' sha256, the base's id and the options."""
    tag: str
    id: str = ""
    torch: str | None
    python: str
    architecture: str
    base: str
    """Id of the base image."""
    options: ImageOptions
    wheels: dict[str, str]
    """Wheel → sha256."""
    size_bytes: int = 0


@engine.answering()
def build(options: ImageOptions, progress: Callable[[str], None]) -> Image:
    """The image for these options; built when it does not exist.

    Raises:
        PrerequisiteError: no engine, no base image, or less than 5 GB of disk.
        ApplianceError: packages could not be downloaded, or the build failed; the message is the last line of either.
        SandboxError: the engine failed meanwhile.
    """
    with contextlib.closing(engine.ensure(progress)) as client:
        return _found_or_built(client, options, progress)


def _found_or_built(client: Any, options: ImageOptions, progress: Callable[[str], None]) -> Image:
    dockerfile = (share("docker") / "Dockerfile").read_bytes()
    requirements = _requirements((share("docker") / "requirements.txt").read_text(), options)
    base = _local_base(client, options)
    if base is not None:
        found = _find(client, _key(dockerfile, requirements, base.id, options))
        if found is not None:
            return found
    with locked("image"):
        _check_disk(client)
        base = base or _obtain_base(client, options, progress)
        key = _key(dockerfile, requirements, base.id, options)
        found = _find(client, key)  # another process may have built it meanwhile
        if found is not None:
            return found
        python, torch = _probe(client, base, options)
        folder, wheels = wheelhouse(
            requirements, python=python, architecture=base.attrs["Architecture"], index=options.package_index, progress=progress
        )
        digest = hashlib.sha256(msgspec.json.encode([key, sorted(wheels.items())])).hexdigest()
        image = Image(
            digest=digest,
            tag=f"{REPOSITORY}:{digest[:12]}",
            torch=torch if options.base_has_torch else _version_of("torch", wheels),
            python=python,
            architecture=base.attrs["Architecture"],
            base=base.id,
            options=options,
            wheels=wheels,
        )
        progress(f"building the image {image.tag} (a minute or two)")
        _build(client, image, key, dockerfile, requirements, folder, progress)
        return _record(client.images.get(image.tag))


@engine.answering()
def show() -> list[Image]:
    """All images of the appliance on this engine, the newest first.

    Raises:
        PrerequisiteError: no engine answers.
    """
    with contextlib.closing(engine.connect()) as client:
        images = client.images.list(name=REPOSITORY, filters={"label": LABEL})
    return [_record(image) for image in sorted(images, key=lambda image: str(image.attrs["Created"]), reverse=True)]


def _requirements(text: str, options: ImageOptions) -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    if options.torch is not None:
        lines = [f"torch=={options.torch}" if line.startswith("torch==") else line for line in lines]
    if options.base_has_torch:
        lines = [line for line in lines if not line.startswith(("torch==", "numpy=="))]
    return "\n".join(lines) + "\n"


def _key(dockerfile: bytes, requirements: str, base: str, options: ImageOptions) -> str:
    return hashlib.sha256(msgspec.json.encode([dockerfile, requirements, base, options], order="deterministic")).hexdigest()


def _find(client: Any, key: str) -> Image | None:
    images = client.images.list(name=REPOSITORY, filters={"label": f"{KEY_LABEL}={key}"})
    return _record(images[0]) if images else None


def _record(image: Any) -> Image:
    record = msgspec.json.decode(image.labels[LABEL], type=Image)
    return msgspec.structs.replace(record, id=image.id, size_bytes=int(image.attrs["Size"]))


def _version_of(package: str, wheels: dict[str, str]) -> str | None:
    return next((name.split("-")[1] for name in wheels if name.startswith(f"{package}-")), None)


def _check_disk(client: Any) -> None:
    """Raise where the engine's folder or the cache has less than 5 GB free."""
    for folder in (Path(client.info().get("DockerRootDir") or "/var/lib/docker"), cache()):
        existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
        free = shutil.disk_usage(existing).free
        if free < FREE_BYTES:
            raise PrerequisiteError(
                f"{free / 1e9:.1f} GB are free at {existing}, the image needs 5 GB: free some, e.g. with `docker system prune`"
            )


def _local_tag() -> str:
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    suite = re.search(r"^VERSION_CODENAME=\"?(\w+)", text, re.MULTILINE)
    return f"{BASE_REPOSITORY}:{os.environ.get('SUITE') or (suite[1] if suite else 'default')}"


def _local_base(client: Any, options: ImageOptions) -> Any | None:
    """The base image if this engine has it: the one asked for, else the official one, else one made here."""
    for name in [options.base_image] if options.base_image else [SLIM, _local_tag()]:
        try:
            return client.images.get(name)
        except docker.errors.ImageNotFound:
            continue
    return None


def _obtain_base(client: Any, options: ImageOptions, progress: Callable[[str], None]) -> Any:
    name = options.base_image or SLIM
    progress(f"pulling the base image {name}")
    try:
        return client.images.pull(*name.rsplit(":", 1)) if ":" in name.rsplit("/", 1)[-1] else client.images.pull(name, "latest")
    except (docker.errors.APIError, requests.exceptions.RequestException) as error:
        if options.base_image:
            raise PrerequisiteError(f"the base image {name} is neither here nor can it be pulled: {_one_line(error)}") from error
    progress("it cannot be pulled; making one from the distribution's packages")
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        target = Path(folder) / "base.tar"
        helper = subprocess.run([share("docker") / "base.sh", target], stderr=subprocess.PIPE, text=True, check=False)
        if helper.returncode != 0:
            last = (helper.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise PrerequisiteError(f"no base image: {last}")
        repository, tag = _local_tag().split(":")
        with target.open("rb") as handle:
            # A file itself would be sent with its length, beside docker-py's "chunked": the engine refuses both together.
            chunks = iter(functools.partial(handle.read, _CHUNK), b"")
            try:
                client.api.import_image_from_stream(chunks, repository=repository, tag=tag, changes=["ENV LANG=C.UTF-8"])
            except docker.errors.APIError as error:
                raise SandboxError(f"the engine did not take the base image: {_one_line(error)}") from error
    return client.images.get(_local_tag())


def _probe(client: Any, base: Any, options: ImageOptions) -> tuple[str, str | None]:
    """Python's `3.11` and, where the base has it, torch's version.

    Raises:
        PrerequisiteError: no Python of 3.11 or newer in it, or no torch although it was said to hold it.
    """
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    if options.base_has_torch:
        code += "; import importlib.metadata as m; print(m.version('torch'))"
    try:
        answer = client.containers.run(
            base.id, ["python3", "-c", code], entrypoint="", remove=True, network_mode="none", use_config_proxy=False
        )
    except (docker.errors.ContainerError, docker.errors.APIError) as error:
        what = "torch" if options.base_has_torch and "PackageNotFound" in str(error) else "python3"
        raise PrerequisiteError(f"the base image has no {what}: name another with --base-image") from error
    lines = answer.decode().split()
    if tuple(map(int, lines[0].split("."))) < (3, 11):
        raise PrerequisiteError(f"the base image has Python {lines[0]}, 3.11 or newer is needed: name another with --base-image")
    return lines[0], lines[1] if len(lines) > 1 else None


def _build(
    client: Any, image: Image, key: str, dockerfile: bytes, requirements: str, wheels: Path, progress: Callable[[str], None]
) -> None:
    arguments = {"BASE_IMAGE": image.base, "VENV_OPTIONS": "--system-site-packages" if image.options.base_has_torch else ""}
    labels = {"overnight-appliance": "1", KEY_LABEL: key, LABEL: msgspec.json.encode(image).decode()}
    last = ""
    try:
        for event in client.api.build(
            fileobj=_context(dockerfile, requirements, wheels),
            custom_context=True,
            tag=image.tag,
            buildargs=arguments,
            labels=labels,
            rm=True,
            forcerm=True,
            decode=True,
            timeout=BUILD_SILENCE_S,
            use_config_proxy=True,
        ):
            if "error" in event:
                raise ApplianceError(f"the image could not be built: {_one_line(event['error'])}; before it: {last}")
            line = str(event.get("stream", "")).strip()
            if line:
                last = line.splitlines()[-1]
                if line.startswith("Step ") and " : LABEL" not in line:
                    progress(line.splitlines()[0][:120])
    except (docker.errors.APIError, requests.exceptions.RequestException) as error:
        raise SandboxError(f"the engine failed while it built the image: {_one_line(error)}") from error
    for stage in client.images.list(filters={"dangling": True, "label": STAGE_LABEL}):
        client.api.remove_image(stage.id)


def _context(dockerfile: bytes, requirements: str, wheels: Path) -> Iterator[bytes]:
    """The build context as a tar, streamed: wheels of a GPU build are gigabytes."""
    for name, data in (("Dockerfile", dockerfile), ("requirements.txt", requirements.encode())):
        yield _header(name, len(data)) + data + _padding(len(data))
    for wheel in sorted(wheels.glob("*.whl")):
        size = wheel.stat().st_size
        yield _header(f"wheelhouse/{wheel.name}", size)
        with wheel.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                yield chunk
        yield _padding(size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf()


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _one_line(error: object) -> str:
    explanation = getattr(error, "explanation", None) or str(error)
    with contextlib.suppress(ValueError, KeyError, TypeError):
        explanation = json.loads(explanation)["message"]
    return " ".join(str(explanation).split())[:300]
