"""Does a real container hold what was asked for? Looked at from inside, compared here. `appliance doctor --sandbox` prints it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import SandboxError
from appliance.records import ArtifactFile, Device, Limits, Record
from appliance.sandbox import failures, inside
from appliance.sandbox.docker import USER, DockerSandbox
from appliance.sandbox.spec import Spec

LIMITS = Limits(
    memory_bytes=268_435_456,
    cpus=1,
    pids=64,
    shm_bytes=16_777_216,
    tmp_bytes=33_554_432,
    out_bytes=8_388_608,
    out_files=16,
    log_bytes=16_384,
)
WRITABLE = {"/dev/mqueue", "/dev/shm", "/out", "/tmp"}  # noqa: S108 - of the sandbox
DEVICES = {"console", "core", "fd", "full", "null", "ptmx", "random", "stderr", "stdin", "stdout", "tty", "urandom", "zero"}
VARIABLES = {"HOME", "TMPDIR", "PATH", "HOSTNAME", "PWD", "LANG", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
DOWN = ("tunl", "sit", "ip6tnl", "gre", "erspan", "ip_vti")
"""Tunnel ends that some kernels put into every network namespace, always down."""
FILTER = 2
"""Value of Seccomp in /proc/self/status when a filter is on."""


class Finding(Record, frozen=True, kw_only=True):
    """One promise of the sandbox and whether it holds."""

    name: str
    holds: bool
    detail: str


def selftest(sandbox: DockerSandbox, device: Device) -> list[Finding]:
    """Run the look from inside in a real container and compare.

    Raises:
        SandboxError: the engine failed, or the script did.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        task = root / "task"
        task.mkdir()
        shutil.copyfile(inside.__file__, task / "inside.py")
        spec = Spec(
            command=("python3", "{task}/inside.py"),
            folders={"TASK": task},
            device=device,
            limits=LIMITS,
            timeout_s=60,
            collect=(ArtifactFile(name="inside.json", at="end", max_bytes=65_536),),
            labels={"kind": "selftest"},
        )
        with sandbox.create(spec) as box:
            result = box.run(root / "collect")
        failed = failures.name(result)
        if failed is not None:
            raise SandboxError(f"the self-test did not run: {failed[0]}: {failed[1]}")
        seen = msgspec.json.decode((root / "collect" / "inside.json").read_bytes())
    return list(compare(seen, LIMITS))


def compare(seen: dict[str, Any], limits: Limits) -> Iterator[Finding]:
    """One finding for each promise."""

    def finding(name: str, holds: bool, detail: object) -> Finding:
        return Finding(name=name, holds=holds, detail=str(detail))

    yield finding("runs as nobody", seen["uid"] == seen["gid"] == USER, f"uid {seen['uid']}, gid {seen['gid']}")
    groups = set(seen["groups"]) - {USER}
    yield finding("belongs to no other group", not groups, sorted(groups) or "none")
    capabilities = {name: hex(value) for name, value in seen["capabilities"].items() if value}
    yield finding("has no capability", not capabilities, capabilities or "all sets are empty")
    yield finding("cannot gain privileges", seen["no_new_privileges"], seen["no_new_privileges"])
    yield finding("system calls are filtered", seen["seccomp"] == FILTER, f"Seccomp: {seen['seccomp']}")
    others = [name for name in seen["interfaces"] if name != "lo" and not name.startswith(DOWN)]
    reached = {address: how for address, how in seen["network"].items() if how is not None}
    yield finding("has no network", not others and not reached, reached or others or "no interface but lo")
    writable = set(seen["writable"]) - WRITABLE
    yield finding("root is read-only", not writable, sorted(writable) or f"writable: {', '.join(seen['writable'])}")
    memory = seen["memory"]
    yield finding("memory is limited as asked", memory == str(limits.memory_bytes), f"{memory} of {limits.memory_bytes} bytes")
    yield finding("processes are limited as asked", seen["pids"] == str(limits.pids), f"{seen['pids']} of {limits.pids}")
    quota = (seen["cpu"] or "").split()[0] if seen["cpu"] else ""
    yield finding("CPU is limited as asked", quota == str(int((limits.cpus or 0) * 100_000)), f"{quota} µs in 100000")
    for folder, asked in (("/out", limits.out_bytes), ("/tmp", limits.tmp_bytes), ("/dev/shm", limits.shm_bytes)):  # noqa: S108 - of the sandbox
        yield finding(f"{folder} is limited as asked", seen["sizes"][folder] == asked, f"{seen['sizes'][folder]} of {asked} bytes")
    yield finding("writes no core dump", seen["core"] == 0, seen["core"])
    yield finding("sees only its own processes", len(seen["processes"]) <= 3, seen["processes"])
    yield finding("has no engine socket", not seen["sockets"], seen["sockets"] or "none")
    devices = {name for name in seen["devices"] if not name.startswith("nvidia")} - DEVICES
    yield finding("has no device files of the host", not devices, sorted(devices) or "none")
    variables = {name for name in seen["environment"] if not name.startswith("APPLIANCE_")} - VARIABLES
    yield finding("environment is built from nothing", not variables, sorted(variables) or "none of the host's")
