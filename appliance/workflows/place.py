"""Opening the sandbox that was asked for, its image built where it is missing."""

from typing import Literal

from appliance import sandbox, temporary
from appliance.records import Device
from appliance.workflows.progress import Progress

SandboxKind = Literal["docker", "process"]


def open_place(kind: SandboxKind, device: Device, progress: Progress) -> tuple[sandbox.Sandbox, dict[str, str]]:
    """The sandbox, its image built where it is missing, and what runs inside; what killed processes left is removed.

    Raises:
        PrerequisiteError: no engine, no image, known escapes.
    """
    _tell(temporary.sweep(), progress)
    if kind == "process":
        progress.note("sandbox process: runs are not isolated from this machine; every record says so")
        from appliance.sandbox.runtime import runtime

        return sandbox.open_sandbox("process", python=runtime(progress.note)), {}
    progress.phase("image")
    from appliance.sandbox.docker import DockerSandbox
    from appliance.sandbox.image import ImageOptions, build  # the engine's client is not wanted where no engine is used

    image = build(ImageOptions(), progress.note)
    place = DockerSandbox(image=image.tag, digest=image.digest, device=device)
    _tell(place.sweep(), progress)
    return place, {name: value for name, value in {"torch": image.torch, "python": image.python}.items() if value is not None}


def _tell(removed: list[str], progress: Progress) -> None:
    if removed:
        progress.note(f"removed what a process that died had left: {', '.join(removed)}")
