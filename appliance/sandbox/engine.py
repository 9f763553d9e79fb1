"""The container engine: find it, refuse what is known to be unsafe, ask it for a GPU."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import docker.errors
import requests

import docker
from appliance.errors import PrerequisiteError, SandboxError
from appliance.paths import share
from appliance.records import Device
from appliance.sandbox.versions import FIXED_RUNC_PACKAGES, debian_at_least, numbers

CALL_TIMEOUT_S = 60
"""Longest silence of one engine call. Builds and pulls set their own."""

RUNC_FIXED = (1, 1, 12)
"""First upstream runc without CVE-2024-21626."""

TOOLKIT_FIXED = (1, 17, 8)
"""First NVIDIA container toolkit without CVE-2024-0132 and CVE-2025-23266."""


def addresses() -> list[str]:
    """Where an engine may answer: DOCKER_HOST alone where it is set, else the default, rootless and Podman sockets that exist."""
    explicit = os.environ.get("DOCKER_HOST")
    if explicit:
        return [explicit]
    user = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    places = [Path("/var/run/docker.sock"), user / "docker.sock", Path.home() / ".docker/run/docker.sock"]
    places += [Path("/run/podman/podman.sock"), user / "podman/podman.sock"]
    return [f"unix://{place}" for place in places if _exists(place)]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False


def connect(timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """A client of the first engine that answers.

    Raises:
        PrerequisiteError: none answers, no permission, or the engine is on another machine (its containers could not see our folders).
    """
    denied: list[str] = []
    tried = addresses()
    for address in tried:
        url = urlparse(address)
        if url.scheme in {"tcp", "http", "https", "ssh"} and url.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise PrerequisiteError(f"the engine at {address} is on another machine and cannot see this one's folders: unset DOCKER_HOST")
        try:
            if url.scheme == "unix":
                _knock(url.path, timeout_s)
            client = docker.DockerClient(base_url=address, timeout=timeout_s)
        except PermissionError:
            denied.append(address)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError):
            continue
        else:
            return client
    if denied:
        raise PrerequisiteError(
            f"no permission for the container engine at {denied[0]}: run `sudo usermod -aG docker $USER` and log in again"
        )
    where = tried[0] if tried else "any known socket"
    raise PrerequisiteError(
        f"no container engine answers at {where}: run {share('docker') / 'engine.sh'} as root, or use --sandbox process"
    )


def ensure(progress: Callable[[str], None]) -> Any:
    """A client; where no engine answers, `docker/engine.sh` is asked to start one (as root, unless ENGINE=never).

    Raises:
        PrerequisiteError: there is still none.
    """
    try:
        return connect()
    except PrerequisiteError:
        if os.environ.get("DOCKER_HOST") or os.getuid() != 0 or os.environ.get("ENGINE") == "never":
            raise
    with subprocess.Popen([share("docker") / "engine.sh"], stderr=subprocess.PIPE, text=True) as helper:
        assert helper.stderr is not None
        for line in helper.stderr:
            progress(line.rstrip())
    return connect()


def _knock(path: str, timeout_s: float) -> None:
    """Connect to a socket and leave: tells missing permission from nobody there. The engine's own client would leave the socket open."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout_s)
        link.connect(path)


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Failures of engine calls in the block become ours.

    Raises:
        SandboxError: the engine refused, or does not answer: it may be back in a while.
        PrerequisiteError: the image is gone, or the engine cannot hand over the GPU.
    """
    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise PrerequisiteError(f"the image is gone from the engine: run `appliance image build` ({sentence(error)})") from error
    except docker.errors.APIError as error:
        if "could not select device driver" in str(error) or "unresolvable CDI devices" in str(error):
            raise PrerequisiteError(f"the engine cannot hand over the GPU: {sentence(error)}: see `appliance doctor`") from error
        raise SandboxError(f"the engine refused: {sentence(error)}") from error
    except requests.exceptions.RequestException as error:
        raise SandboxError(f"the engine does not answer any more: {sentence(error)}") from error


def sentence(error: object) -> str:
    """What an engine's error says, on one line."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())[:300]


def preflight(client: Any, device: Device | None = None) -> list[str]:
    """Refuse an engine from which code is known to break out; the returned sentences are warnings.

    Raises:
        PrerequisiteError: runc or the GPU's container toolkit have a known escape, or the toolkit is missing; the version is named.
    """
    version = client.version()
    warnings: list[str] = []
    for component in version.get("Components") or []:
        if component.get("Name") == "runc":
            details = component.get("Details") or {}
            check_runc(str(component.get("Version", "")), str(details.get("GitCommit", "")))
    info = client.info()
    options = " ".join(info.get("SecurityOptions") or [])
    if "seccomp" not in options:
        warnings.append("the engine filters no system calls (seccomp is off)")
    for key, what in (("MemoryLimit", "memory"), ("PidsLimit", "process"), ("CpuCfsQuota", "CPU")):
        if info.get(key) is False:
            warnings.append(f"the engine cannot enforce {what} limits")
    if device is not None and device.kind == "cuda":
        check_toolkit(_toolkit_version())
    return warnings


def check_runc(version: str, commit: str) -> None:
    """Judge a runc by its upstream version, or by its package's where a distribution mends old versions.

    Raises:
        PrerequisiteError: it has CVE-2024-21626, or its version cannot be read.
    """
    package = commit if re.search(r"deb\d+|ubuntu", commit) else version
    for pattern, fixed in FIXED_RUNC_PACKAGES:
        if pattern.search(package) and debian_at_least(package, fixed):
            return
    found = numbers(version)
    if found is None:
        return  # another runtime (crun), or an engine that does not tell
    if found < RUNC_FIXED:
        raise PrerequisiteError(
            f"runc {version} lets a container break out (CVE-2024-21626): install runc 1.1.12 or newer, "
            "or the distribution's mended package (apt-get upgrade runc)"
        )


def check_toolkit(version: str | None) -> None:
    """Judge the NVIDIA container toolkit; None where it is not installed.

    Raises:
        PrerequisiteError: missing, or with CVE-2024-0132 or CVE-2025-23266.
    """
    if version is None:
        raise PrerequisiteError(
            "the engine cannot hand a GPU to a container: install nvidia-container-toolkit 1.17.8 or newer, then run "
            "`nvidia-ctk runtime configure --runtime=docker` and restart the engine"
        )
    found = numbers(version)
    if found is None or found < TOOLKIT_FIXED:
        raise PrerequisiteError(
            f"nvidia-container-toolkit {version} lets a container break out (CVE-2024-0132, CVE-2025-23266): install 1.17.8 or newer"
        )


def _toolkit_version() -> str | None:
    command = shutil.which("nvidia-ctk") or shutil.which("nvidia-container-toolkit")
    if command is None:
        return None
    answer = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    match = re.search(r"\d+\.\d+\.\d+\S*", answer)
    return match.group() if match else ""


def device_request(device: Device, info: Mapping[str, Any]) -> dict[str, Any] | None:
    """What to ask the engine for so that one GPU, by its UUID, is inside; None for a CPU.

    The container device interface is used where one of the engine's folders for it describes this GPU; else the engine's nvidia driver.

    Raises:
        PrerequisiteError: the GPU has no UUID.
    """
    if device.kind != "cuda":
        return None
    if not device.uuid:
        raise PrerequisiteError(f"{device.name} has no UUID, so a container cannot be given it alone")
    if device.uuid in _cdi_devices(info):
        return {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={device.uuid}"]}
    return {"Driver": "nvidia", "DeviceIDs": [device.uuid], "Capabilities": [["gpu", "compute", "utility"]]}


def _cdi_devices(info: Mapping[str, Any]) -> set[str]:
    """Names of the NVIDIA GPUs that the engine's CDI folders describe (or that it says it discovered)."""
    names = {
        str(found.get("ID", "")).partition("=")[2]
        for found in info.get("DiscoveredDevices") or []
        if str(found.get("ID", "")).startswith("nvidia.com/gpu=")
    }
    for folder in info.get("CDISpecDirs") or []:
        for file in [*Path(folder).glob("*.json"), *Path(folder).glob("*.yaml")]:
            try:
                text = file.read_text()
            except OSError:
                continue
            if "nvidia.com/gpu" not in text:
                continue
            if file.suffix == ".json":
                names |= {str(entry.get("name")) for entry in json.loads(text).get("devices", [])}
            else:
                names |= set(re.findall(r"^\s*-?\s*name:\s*\"?([\w:.-]+)\"?\s*$", text, re.MULTILINE))
    return names
