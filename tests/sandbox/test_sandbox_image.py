"""The image: named by what it is built from, built once."""

import hashlib
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from appliance.errors import PrerequisiteError
from appliance.records import Device
from appliance.sandbox import Sandbox, image, selftest, wheels
from appliance.sandbox.docker import DockerSandbox

REQUIREMENTS = "torch==2.13.0\nnumpy==2.4.6\nsafetensors==0.8.0\n"


def key(**changes: object) -> str:
    parts = {"dockerfile": b"FROM x", "requirements": REQUIREMENTS, "base": "sha256:1", "options": image.ImageOptions()} | changes
    return image._key(**parts)  # type: ignore[arg-type]


def test_whatever_an_image_is_built_from_changes_its_name() -> None:
    keys = {
        key(),
        key(dockerfile=b"FROM y"),
        key(requirements=REQUIREMENTS + "scipy==1.0\n"),
        key(base="sha256:2"),
        key(options=image.ImageOptions(torch="2.12.0")),
        key(options=image.ImageOptions(package_index="file:///wheels")),
        key(options=image.ImageOptions(base_has_torch=True)),
    }
    assert len(keys) == 7
    assert key() == key()


def test_options_change_the_requirements() -> None:
    assert "torch==2.12.0" in image._requirements(REQUIREMENTS, image.ImageOptions(torch="2.12.0"))
    own = image._requirements(REQUIREMENTS, image.ImageOptions(base_has_torch=True))
    assert own == "safetensors==0.8.0\n"


def test_the_pins_are_exact() -> None:
    lines = [line for line in (Path("docker/requirements.txt")).read_text().splitlines() if line and not line.startswith("#")]
    assert all("==" in line for line in lines)


def test_the_context_is_a_tar_with_every_wheel(tmp_path: Path) -> None:
    import io
    import tarfile

    long = "package-1.0-cp311-cp311-" + "manylinux_2_17_x86_64." * 6 + "whl"
    for name in ("a-1-py3-none-any.whl", long):
        (tmp_path / name).write_bytes(name.encode() * 100)
    data = b"".join(image._context(b"FROM x", "a==1\n", tmp_path))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["Dockerfile", "requirements.txt", "wheelhouse/a-1-py3-none-any.whl", f"wheelhouse/{long}"]
        taken = tar.extractfile(f"wheelhouse/{long}")
        assert taken is not None
        assert taken.read() == long.encode() * 100


def test_too_little_disk_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 96, 4_200_000_000))

    class Client:
        def info(self) -> dict[str, str]:
            return {"DockerRootDir": "/var/lib/docker"}

    with pytest.raises(PrerequisiteError, match=r"4\.2 GB are free at .*, the image needs 5 GB"):
        image._check_disk(Client())


def test_a_wheelhouse_is_downloaded_once_and_locked_by_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path))
    calls = []

    def download(requirements: str, folder: Path, *rest: object) -> None:
        calls.append(requirements)
        (folder / "a-1-py3-none-any.whl").write_bytes(b"wheel")

    monkeypatch.setattr(wheels, "_download", download)
    said: list[str] = []
    for _ in range(2):
        folder, lock = wheels.wheelhouse("a==1\n", python="3.11", architecture="amd64", index=None, progress=said.append)
    assert calls == ["a==1\n"]
    assert said == ["downloading the image's packages for Python 3.11 on amd64"]
    assert lock == {"a-1-py3-none-any.whl": hashlib.sha256(b"wheel").hexdigest()}
    (folder / "a-1-py3-none-any.whl").unlink()
    wheels.wheelhouse("a==1\n", python="3.11", architecture="amd64", index=None, progress=said.append)
    assert len(calls) == 2


@pytest.mark.engine
def test_a_second_build_finds_the_first(docker_sandbox: Sandbox) -> None:
    first = image.build(image.ImageOptions(), print)

    def silent(line: str) -> None:
        raise AssertionError(f"it did something: {line}")

    assert image.build(image.ImageOptions(), silent) == first
    assert first in image.show()
    assert first.torch is not None
    assert first.tag == f"overnight-appliance:{first.digest[:12]}"


@pytest.mark.engine
def test_a_real_container_holds_what_was_asked(docker_sandbox: DockerSandbox) -> None:
    findings = selftest.selftest(docker_sandbox, Device(kind="cpu", index=0, name="stub", slug="stub"))
    assert len(findings) >= 15
    assert [finding for finding in findings if not finding.holds] == []


def test_a_broken_promise_is_found() -> None:
    seen = {
        "uid": 0, "gid": 0, "groups": [0], "capabilities": {"CapEff": 1}, "no_new_privileges": False, "seccomp": 0,
        "interfaces": ["lo", "eth0"], "network": {"x": "connected"}, "writable": ["/", "/out"], "memory": "max", "pids": None, "cpu": None,
        "sizes": {"/out": 1, "/tmp": 1, "/dev/shm": 1}, "core": -1, "processes": [1, 2, 3, 4], "sockets": ["/var/run/docker.sock"],
        "devices": ["null", "sda"], "environment": ["ANTHROPIC_API_KEY"],
    }  # fmt: skip
    assert not any(finding.holds for finding in selftest.compare(seen, selftest.LIMITS))
