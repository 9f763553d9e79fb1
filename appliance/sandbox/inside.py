"""What a sandbox looks like from inside, as JSON: the script that the self-test runs in a real one. Imports nothing of ours."""

import contextlib
import json
import os
import resource
import socket
import tempfile
from pathlib import Path


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _reachable(address: tuple[str, int], timeout_s: float = 2.0) -> str | None:
    """None where nothing can be sent, else what happened instead."""
    try:
        with socket.create_connection(address, timeout=timeout_s):
            return "connected"
    except ConnectionRefusedError:
        return "refused by the other side"
    except TimeoutError:
        return "sent, but not answered"
    except OSError:
        return None


def _writable() -> list[str]:
    """Folders of the whole tree in which a file can be made."""
    found = []
    for root, folders, _ in os.walk("/"):
        if root in {"/proc", "/sys"}:
            folders.clear()
            continue
        with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=root):
            found.append(root)
            folders.clear()
    return sorted(found)


def _first(*paths: str) -> str | None:
    for path in paths:
        with contextlib.suppress(OSError):
            return Path(path).read_text().strip()
    return None


def _bytes_of(folder: str) -> int:
    about = os.statvfs(folder)
    return about.f_blocks * about.f_frsize


def look() -> dict[str, object]:
    """Everything the host compares with what it asked for."""
    status = _status()
    return {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "capabilities": {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privileges": status.get("NoNewPrivs") == "1",
        "seccomp": int(status.get("Seccomp", "0")),
        "interfaces": sorted(line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]),
        "network": {str(address): _reachable(address) for address in (("192.0.2.1", 53), ("169.254.169.254", 80))},
        "writable": _writable(),
        "memory": _first("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        "pids": _first("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"),
        "cpu": _first("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        "sizes": {folder: _bytes_of(folder) for folder in ("/out", "/tmp", "/dev/shm")},  # noqa: S108 - of the sandbox
        "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
        "processes": sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()),
        "sockets": [path for path in ("/var/run/docker.sock", "/run/containerd/containerd.sock") if Path(path).exists()],
        "devices": sorted(entry.name for entry in Path("/dev").iterdir() if not entry.is_dir()),
        "environment": sorted(os.environ),
    }


if __name__ == "__main__":
    (Path(os.environ["APPLIANCE_OUT"]) / "inside.json").write_text(json.dumps(look()))
    print(f"\n::appliance {os.environ['APPLIANCE_NONCE']} done", flush=True)
