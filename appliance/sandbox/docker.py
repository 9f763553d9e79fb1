"""The docker sandbox: one hardened, disposable container per command."""

import contextlib
import os
import tarfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import docker.errors
import docker.types
import requests

from appliance.errors import PrerequisiteError, SandboxError
from appliance.records import ArtifactFile, Device, Reason
from appliance.sandbox import cgroup, engine
from appliance.sandbox.box import (
    FOLDERS,
    End,
    ProtocolBox,
    Refused,
    argv,
    check_readable,
    environment,
    new_control,
    remove_control,
)
from appliance.sandbox.limits import cpus_of, memory_of
from appliance.sandbox.spec import Spec
from appliance.sandbox.stream import Attached
from appliance.sandbox.sweep import OURS, label_name, owner_label, owner_lives

USER = 65534
"""nobody: owns nothing in the image and nothing on the host."""

# Tells how the program exited while its `/out`, which vanishes with the last process, can still be copied; the host then kills it.
FIRST_PROCESS = '"$@"; code=$?; printf "\\n::appliance %s exit %s\\n" "$APPLIANCE_NONCE" "$code"; exec sleep 2147483647'

GO_MODE_TYPE = 0x8F280000
"""Bits of the engine's file mode that are set for everything but regular files."""


class DockerSandbox:
    """Boxes that are containers."""

    isolation: Literal["docker", "none"] = "docker"

    def __init__(self, *, image: str, digest: str | None = None, runtime: str | None = None, device: Device | None = None) -> None:
        self.client = engine.connect()
        self._device = device
        self._owed: list[DockerBox] = []
        with engine.answering():
            self.warnings = engine.preflight(self.client, device)
            self.info: dict[str, Any] = self.client.info()
        self.image = image
        self.image_digest = digest
        self.runtime = runtime
        if runtime is not None and runtime not in (self.info.get("Runtimes") or {}):
            known = ", ".join(sorted(self.info.get("Runtimes") or {}))
            raise PrerequisiteError(
                f"the engine has no runtime {runtime!r} (it has {known}): install it and name it in /etc/docker/daemon.json"
            )

    def close(self) -> None:
        """Close the connection to the engine."""
        self.client.close()

    def create(self, spec: Spec) -> "DockerBox":
        """Create and start a container; none of an earlier box that the engine has not given up runs beside it."""
        self._settle()
        return DockerBox(self, spec)

    def owe(self, box: "DockerBox") -> None:
        """Remember a box that could not be removed."""
        self._owed.append(box)

    def _settle(self) -> None:
        """Remove what is owed. The engine failed meanwhile, and whoever restarted it may have changed it: it is looked at again."""
        if self._owed:
            with engine.answering():
                engine.preflight(self.client, self._device)
        while self._owed:
            self._owed[-1].discard()
            self._owed.pop()

    def sweep(self, labels: Mapping[str, str] | None = None) -> list[str]:
        """Remove containers and volumes that processes which are gone left, those with these labels, and what is owed."""
        self._settle()
        wanted = [OURS, *(f"{label_name(key)}={value}" for key, value in (labels or {}).items())]
        removed: list[str] = []
        with engine.answering():
            for container in self.client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True):
                if owner_lives(container.labels):
                    continue
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True, v=True)
                    removed.append(container.name)
            for volume in self.client.volumes.list(filters={"label": wanted}):
                if owner_lives(volume.attrs.get("Labels")):
                    continue
                with contextlib.suppress(docker.errors.NotFound):
                    volume.remove(force=True)
                    removed.append(volume.name)
        return removed


class DockerBox(ProtocolBox):
    """One container and its `/out`."""

    exit_is_told = True  # the first process is init of its namespace: no signal from inside reaches it

    def __init__(self, sandbox: DockerSandbox, spec: Spec) -> None:
        began = time.monotonic()
        check_readable(spec)
        self._sandbox = sandbox
        self._client = sandbox.client
        self._container: Any | None = None
        self._cgroup: cgroup.Group | None = None
        self._pid: int | None = None
        self._removed = False
        nonce, control = new_control(spec)
        super().__init__(spec, nonce, control)
        self._name = f"overnight-appliance-{nonce}"
        try:
            with engine.answering():
                if spec.out_folder is None:
                    self._client.volumes.create(**out_volume(self._name, spec))
                self._container = self._client.containers.create(**container_request(spec, self._name, nonce, control, sandbox))
                self._attached = Attached(self._client, self._container.id, self.log)
                self._container.start()
            self._pid = self._inspect().get("Pid") or None
            self._cgroup = cgroup.of(self._pid)
        except BaseException:
            self.remove()
            raise
        self.create_s = time.monotonic() - began

    @property
    def name(self) -> str:
        """Name of the container."""
        return self._name

    @property
    def pid(self) -> int | None:
        """Host pid of the container's first process."""
        return self._pid

    def _inspect(self) -> dict[str, Any]:
        assert self._container is not None
        with engine.answering():
            self._container.reload()
        return cast(dict[str, Any], self._container.attrs["State"])

    @property
    def lives(self) -> bool:
        """Whether the container still runs."""
        return bool(self._inspect().get("Running"))

    def _freeze(self) -> None:
        assert self._container is not None
        # 409: it is not running, so there is nothing to freeze. 500: old kernels give up freezing on a very busy machine; then the copy is
        # made while it runs, which wins an asset the milliseconds of that copy and nothing else, as only the copy counts.
        _but_for({409, 500}, self._container.pause)

    def _thaw(self) -> None:
        assert self._container is not None
        _but_for({409, 500}, self._container.unpause)

    def _copy(self, file: ArtifactFile, target: Path) -> bool:
        assert self._container is not None
        with engine.answering():
            try:
                stream, about = self._container.get_archive(f"/out/{file.name}")
            except docker.errors.NotFound:
                return False
        try:
            if about["mode"] & GO_MODE_TYPE:
                raise Refused(Reason.ARTIFACT_NOT_ALLOWED, f"{file.name} is not a regular file")
            if about["size"] > file.max_bytes:
                raise Refused(Reason.ARTIFACT_TOO_LARGE, f"{file.name} has {about['size']} bytes, at most {file.max_bytes} are taken")
            unpack(stream, file, target)
        finally:
            stream.close()
        return True

    def _kill(self) -> End:
        assert self._container is not None
        counted = self._cgroup.read() if self._cgroup is not None else cgroup.Reading(peak_bytes=None, oom_kills=0)
        with engine.answering(), contextlib.suppress(docker.errors.APIError):
            self._container.kill()
        self.unpause()
        state = self._inspect()
        limit = time.monotonic() + engine.CALL_TIMEOUT_S
        while state.get("Running") and time.monotonic() < limit:
            time.sleep(0.01)
            state = self._inspect()
        return End(
            exit_code=state.get("ExitCode"),
            oom_killed=bool(state.get("OOMKilled")) or counted.oom_kills > 0,
            peak_memory_bytes=counted.peak_bytes,
        )

    def remove(self) -> None:
        """Kill and remove container, volume and control folder; what the engine does not give up now is owed."""
        if self._removed:
            return
        self._removed = True
        remove_control(self.control)
        try:
            self.discard()
        except SandboxError:
            self._sandbox.owe(self)

    def discard(self) -> None:
        """Remove container and volume, by name: an engine that died while it made them told nobody whether it had.

        Raises:
            SandboxError: the engine did not give them up.
        """
        _patiently(lambda: self._client.api.remove_container(self._name, force=True, v=True))
        if self.spec.out_folder is None:
            _patiently(lambda: self._client.api.remove_volume(self._name, force=True))


def out_volume(name: str, spec: Spec) -> dict[str, Any]:
    """Request for `/out`: memory with a cap on bytes and files, so that nothing reaches the disk."""
    options = f"size={spec.limits.out_bytes},nr_inodes={spec.limits.out_files + 1},uid={USER},gid={USER},mode=0700,nosuid,nodev,noexec"
    return {
        "name": name,
        "driver": "local",
        "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": options},
        "labels": _labels(spec),
    }


def container_request(spec: Spec, name: str, nonce: str, control: Path, sandbox: DockerSandbox) -> dict[str, Any]:
    """Everything that is asked of the engine for one container."""
    limits = spec.limits
    cpus = cpus_of(limits)
    memory = memory_of(limits)
    inside = {folder: f"/{folder.lower()}" for folder in FOLDERS if folder in spec.folders} | {"CONTROL": "/control", "OUT": "/out"}
    variables = environment(spec, nonce, inside, max(1, int(cpus))) | {"HOME": "/tmp", "TMPDIR": "/tmp"}  # noqa: S108 - inside the container
    mounts = [_bind(f"/{folder.lower()}", host) for folder, host in spec.folders.items()] + [_bind("/control", control)]
    user = USER
    if spec.out_folder is None:
        mounts.append(docker.types.Mount("/out", name, type="volume", no_copy=True))
    else:
        mounts.append(docker.types.Mount("/out", str(spec.out_folder.absolute()), type="bind"))
        user = own(spec.out_folder)
    gpu = engine.device_request(spec.device, sandbox.info)
    return {
        "image": sandbox.image,
        "name": name,
        "entrypoint": ["/bin/sh", "-c", FIRST_PROCESS, "sandbox"],
        "command": argv(spec, "/task"),
        "environment": variables,
        "labels": _labels(spec),
        "hostname": "sandbox",
        "user": f"{user}:{user}",
        "working_dir": "/tmp",  # noqa: S108 - inside the container
        "mounts": mounts,
        "tmpfs": {"/tmp": f"size={limits.tmp_bytes},nr_inodes=65536,mode=1777,nosuid,nodev,exec"},  # noqa: S108 - compile caches are loaded from it
        "read_only": True,
        "network_mode": "none",
        "ipc_mode": "private",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(cpus * 1e9),
        "pids_limit": limits.pids,
        "shm_size": limits.shm_bytes,
        "ulimits": [
            docker.types.Ulimit(name=key, soft=value, hard=value) for key, value in (("core", 0), ("nofile", 4096), ("msgqueue", 0))
        ],
        "oom_score_adj": 500,
        "log_config": docker.types.LogConfig(type="none"),
        "restart_policy": {"Name": "no"},
        "use_config_proxy": False,
        "detach": True,
        **({"runtime": sandbox.runtime} if sandbox.runtime else {}),
        **({"device_requests": [docker.types.DeviceRequest(**gpu)]} if gpu else {}),
    }


def own(folder: Path) -> int:
    """Make a trusted command's output folder writable for it. Returns the user it then runs as: never root."""
    if os.getuid() != 0:
        return os.getuid()
    os.chown(folder, USER, USER)
    return USER


def unpack(stream: Iterator[bytes], file: ArtifactFile, target: Path) -> None:
    """Write the one regular file of a tar stream to `target`, never more than its cap.

    Raises:
        Refused: it is a link, a device, a pipe or a folder, or larger than allowed.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        with tarfile.open(fileobj=cast(BinaryIO, _Reader(stream)), mode="r|") as tar:
            member = tar.next()
            if member is None or member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or member.name != file.name:
                raise Refused(Reason.ARTIFACT_NOT_ALLOWED, f"{file.name} is not a regular file")
            source = tar.extractfile(member)
            if member.size > file.max_bytes or source is None:
                raise Refused(Reason.ARTIFACT_TOO_LARGE, f"{file.name} has {member.size} bytes, at most {file.max_bytes} are taken")
            with part.open("xb") as out:
                while chunk := source.read(1 << 20):
                    out.write(chunk)
        part.replace(target)
    except (tarfile.TarError, requests.exceptions.RequestException) as error:
        raise SandboxError(f"the engine's copy of {file.name} broke off: {error}") from error
    finally:
        part.unlink(missing_ok=True)


class _Reader:
    """File-like view of an iterator of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while have < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def _bind(inside: str, host: Path) -> Any:
    return docker.types.Mount(inside, str(host.absolute()), type="bind", read_only=True)


def _labels(spec: Spec) -> dict[str, str]:
    return {OURS: "1"} | owner_label() | {label_name(key): value for key, value in spec.labels.items()}


def _but_for(statuses: Collection[int], call: Callable[[], object]) -> None:
    """Make an engine call that may be refused with these HTTP statuses."""
    with engine.answering():
        try:
            call()
        except docker.errors.APIError as error:
            if error.status_code not in statuses:
                raise


def _patiently(call: Callable[[], object]) -> None:
    """Repeat a removal: the engine may still be busy with the same container. One that does not answer is not waited for.

    Raises:
        SandboxError: it did not remove it.
    """
    for pause_s in (0.2, 0.4, 0.6, 0.8, None):
        try:
            _but_for({404}, call)
        except SandboxError as error:
            if pause_s is None or not isinstance(error.__cause__, docker.errors.APIError):
                raise
            time.sleep(pause_s)
        else:
            return
