"""The engine: how it is found, refused, and asked. Requests are read where an engine would read them, over HTTP."""

import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from stub_task import MakeSpec
from werkzeug import Request, Response

import docker
from appliance.errors import PrerequisiteError, SandboxError
from appliance.records import Device
from appliance.sandbox import engine
from appliance.sandbox.docker import DockerBox, DockerSandbox
from appliance.sandbox.versions import debian_at_least

UUID = "GPU-7a0a2f53-1b6b-2c55-9d2f-6d8ab7f4a0c1"
GPU = Device(kind="cuda", index=0, name="NVIDIA H200", slug="nvidia-h200", uuid=UUID)
CPU = Device(kind="cpu", index=0, name="cpu", slug="cpu")


def test_no_engine_is_one_line_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(PrerequisiteError, match=r"no container engine answers at unix:///nowhere.sock: run .*engine.sh as root") as found:
        engine.connect()
    assert "\n" not in str(found.value)


def test_an_engine_on_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://build.example:2375")
    with pytest.raises(PrerequisiteError, match="another machine"):
        engine.connect()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become someone without permission")
def test_no_permission_is_told_from_no_engine(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    path = place / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        os.seteuid(65534)
        try:
            with pytest.raises(PrerequisiteError, match=r"no permission for the container engine .* usermod"):
                engine.connect()
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("version", "commit"),
    [
        ("1.1.5+ds1", "1.1.5+ds1-1+deb12u1"),  # Debian 12, mended
        ("1.1.12", "v1.1.12-0-g51d5e946"),
        ("1.3.3", "v1.3.3-0-gd842d771"),
        ("1.1.7-0ubuntu1~22.04.2", ""),
        ("1.1.12-0ubuntu2~22.04.1", ""),
        ("1.0.0~rc93+ds1", "1.0.0~rc93+ds1-5+deb11u5"),
        ("", ""),  # the engine does not tell
    ],
)
def test_a_mended_runc_is_accepted(version: str, commit: str) -> None:
    engine.check_runc(version, commit)


@pytest.mark.parametrize(
    ("version", "commit"),
    [
        ("1.1.11", "v1.1.11-0-g4bccb38c"),
        ("1.1.5+ds1", "1.1.5+ds1-1+b3"),
        ("1.1.7-0ubuntu1~22.04.1", ""),
        ("1.0.0~rc93+ds1", "1.0.0~rc93+ds1-5+deb11u2"),
    ],
)
def test_a_runc_with_a_known_escape_is_refused_with_the_version_to_install(version: str, commit: str) -> None:
    with pytest.raises(PrerequisiteError, match=r"CVE-2024-21626\): install runc 1.1.12"):
        engine.check_runc(version, commit)


@pytest.mark.parametrize("version", ["1.17.7", "1.16.2", "1.9.0", ""])
def test_a_container_toolkit_with_a_known_escape_is_refused(version: str) -> None:
    with pytest.raises(PrerequisiteError, match=r"1\.17\.8"):
        engine.check_toolkit(version)


def test_a_missing_container_toolkit_names_the_mend() -> None:
    with pytest.raises(PrerequisiteError, match=r"install nvidia-container-toolkit 1\.17\.8 .*nvidia-ctk runtime configure"):
        engine.check_toolkit(None)
    engine.check_toolkit("1.17.8")
    engine.check_toolkit("1.18.0-rc.1")


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.0~rc1-1", "1.0-1"), ("1.0-1", "1.0-1+deb12u1"), ("1.9-1", "1.10-1"), ("1.0-1~22.04.2", "1.0-1~22.04.10"), ("1.0-1", "1.0.1-1")],
)
def test_debian_versions_are_ordered_as_debian_orders_them(older: str, newer: str) -> None:
    assert debian_at_least(newer, older)
    assert not debian_at_least(older, newer)
    assert debian_at_least(older, older)


def test_a_cpu_asks_for_no_device() -> None:
    assert engine.device_request(CPU, {}) is None


def test_a_gpu_is_asked_for_by_uuid_through_the_nvidia_driver() -> None:
    assert engine.device_request(GPU, {}) == {"Driver": "nvidia", "DeviceIDs": [UUID], "Capabilities": [["gpu", "compute", "utility"]]}


def test_a_gpu_without_uuid_is_refused() -> None:
    with pytest.raises(PrerequisiteError, match="no UUID"):
        engine.device_request(Device(kind="cuda", index=0, name="x", slug="x"), {})


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_gpu_is_asked_for_through_cdi_where_a_spec_names_it(place: Path, form: str) -> None:
    names = ["0", UUID, "all"]
    if form == "json":
        text = json.dumps({"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": name} for name in names]})
    else:
        text = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n" + "".join(
            f'- name: "{name}"\n  containerEdits: {{}}\n' for name in names
        )
    (place / f"nvidia.{form}").write_text(text)
    info = {"CDISpecDirs": [str(place), "/nowhere"]}
    assert engine.device_request(GPU, info) == {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={UUID}"]}


def test_a_cdi_folder_that_does_not_know_the_gpu_is_not_used(place: Path) -> None:
    (place / "nvidia.json").write_text(json.dumps({"kind": "nvidia.com/gpu", "devices": [{"name": "0"}]}))
    request = engine.device_request(GPU, {"CDISpecDirs": [str(place)]})
    assert request is not None
    assert request["Driver"] == "nvidia"


OURS = re.compile("/v1.41/(containers|volumes)/overnight-appliance-.*")


def answered_by(server: HTTPServer) -> DockerSandbox:
    """A sandbox whose engine is this server."""
    sandbox = object.__new__(DockerSandbox)
    sandbox.client = docker.DockerClient(base_url=server.url_for("/").rstrip("/"), version="1.41")
    sandbox.info, sandbox.image, sandbox.runtime, sandbox._device, sandbox._owed = {}, "overnight-appliance:test", "runsc", CPU, []
    return sandbox


@pytest.fixture
def asked(httpserver: HTTPServer, make_spec: MakeSpec) -> Iterator[dict[str, Any]]:
    """The bodies of the requests that a box for a GPU sends: path → body. The engine refuses the container, so nothing starts."""
    bodies: dict[str, Any] = {}

    def answer(request: Request) -> Response:
        path = request.path.partition("/v1.41")[2] or request.path
        if request.method == "POST":
            bodies[path] = request.get_json()
        if path == "/volumes/create":
            return Response(json.dumps({"Name": bodies[path]["Name"]}), content_type="application/json")
        if path == "/containers/create":
            return Response(json.dumps({"message": "seen enough"}), status=500, content_type="application/json")
        return Response("", status=204)

    httpserver.expect_request("").respond_with_handler(answer)
    for path in ("/v1.41/volumes/create", "/v1.41/containers/create"):
        httpserver.expect_request(path).respond_with_handler(answer)
    httpserver.expect_request(OURS, method="DELETE").respond_with_handler(answer)
    sandbox = answered_by(httpserver)
    with pytest.raises(SandboxError, match="seen enough"):
        DockerBox(sandbox, make_spec("", device=GPU))
    sandbox.close()
    yield bodies
    httpserver.check_assertions()


def test_the_request_for_a_container_holds_every_limit(asked: dict[str, Any]) -> None:
    body = asked["/containers/create"]
    host = body["HostConfig"]
    assert host["DeviceRequests"] == [
        {"Driver": "nvidia", "Count": 0, "DeviceIDs": [UUID], "Capabilities": [["gpu", "compute", "utility"]], "Options": {}}
    ]
    assert host["Runtime"] == "runsc"
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["IpcMode"] == "private"
    assert host["Memory"] == host["MemorySwap"] == 256_000_000
    assert host["NanoCpus"] == 1_000_000_000
    assert host["PidsLimit"] == 32
    assert host["ShmSize"] == 4_000_000
    assert host["LogConfig"]["Type"] == "none"
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]}["core"] == 0
    assert body["User"] == "65534:65534"
    assert "exec" in host["Tmpfs"]["/tmp"].split(",")
    assert not host.get("Privileged")
    mounts = {mount["Target"]: mount for mount in host["Mounts"]}
    assert sorted(mounts) == ["/control", "/out", "/task"]
    assert mounts["/task"]["ReadOnly"] is True
    assert mounts["/control"]["ReadOnly"] is True
    assert not any("docker.sock" in str(mount.get("Source")) for mount in mounts.values())
    assert body["Labels"].pop("overnight-appliance.owner").startswith(f"{os.getpid()}-")
    assert body["Labels"] == {"overnight-appliance": "1", "overnight-appliance.night": "test", "overnight-appliance.run": "1"}


def test_the_out_folder_is_capped_memory(asked: dict[str, Any]) -> None:
    options = asked["/volumes/create"]["DriverOpts"]
    assert options["type"] == "tmpfs"
    assert "size=8000000" in options["o"].split(",")
    assert {"nosuid", "nodev", "noexec", "uid=65534", "mode=0700"} <= set(options["o"].split(","))


def test_what_a_failing_engine_does_not_give_up_is_removed_before_the_next_box(httpserver: HTTPServer, make_spec: MakeSpec) -> None:
    removed: list[str] = []
    failing = True

    def answer(request: Request) -> Response:
        if failing:
            return Response(json.dumps({"message": "shutting down"}), status=500, content_type="application/json")
        if request.method == "DELETE":
            removed.append(request.path.split("/")[2])
        told = {"/v1.41/containers/json": [], "/v1.41/volumes": {"Volumes": []}}.get(request.path, {})
        return Response(json.dumps(told), content_type="application/json")

    httpserver.expect_request(re.compile("/v1.41/.*")).respond_with_handler(answer)
    sandbox = answered_by(httpserver)
    for _ in range(2):  # the second is not made while the first may run
        with pytest.raises(SandboxError, match="shutting down"):
            sandbox.create(make_spec(""))
    failing = False
    assert sandbox.sweep() == []
    assert removed == ["containers", "volumes"]
    sandbox.sweep()
    assert len(removed) == 2
    sandbox.close()


def test_an_engine_that_is_gone_says_nothing_of_the_program(httpserver: HTTPServer, make_spec: MakeSpec) -> None:
    sandbox = answered_by(httpserver)
    httpserver.stop()  # type: ignore[no-untyped-call]
    try:
        for call in (lambda: sandbox.create(make_spec("")), sandbox.sweep):
            with pytest.raises(SandboxError, match="does not answer any more"):
                call()
    finally:
        sandbox.close()
        httpserver.start()  # type: ignore[no-untyped-call]


@pytest.mark.engine
def test_the_engine_of_this_machine_passes_the_preflight() -> None:
    client = engine.connect()
    assert isinstance(engine.preflight(client), list)
    client.close()


@pytest.mark.engine
def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(PrerequisiteError, match=r"no runtime 'nonsuch' \(it has .*runc"):
        DockerSandbox(image="x", runtime="nonsuch")


@pytest.mark.engine
def test_a_gone_image_names_the_mend(make_spec: MakeSpec) -> None:
    sandbox = DockerSandbox(image="overnight-appliance:nonsuch")
    with pytest.raises(PrerequisiteError, match="appliance image build"):
        sandbox.create(make_spec(""))
    assert sandbox.sweep({"night": "test"}) == []
    sandbox.close()
