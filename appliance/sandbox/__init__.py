"""Where a run executes: `docker` (the default) or `process`. Callers need only what is exported here."""

from pathlib import Path
from typing import Literal

from appliance.records import ExecResult
from appliance.sandbox.spec import Box, Check, Folder, Sandbox, Spec, Start

__all__ = ["Box", "Check", "Folder", "Sandbox", "Spec", "Start", "execute", "open_sandbox"]


def open_sandbox(
    kind: Literal["docker", "process"],
    *,
    image: str | None = None,
    digest: str | None = None,
    runtime: str | None = None,
    python: Path | None = None,
) -> Sandbox:
    """Connect to a kind of sandbox.

    `docker` takes the image's tag or id, its digest for the record, and an engine runtime such as `runsc`. `process` takes the interpreter
    that commands called `python3` get.

    Raises:
        PrerequisiteError: no engine answers, no permission, known escapes, image missing.
    """
    if kind == "docker":
        from appliance.sandbox.docker import DockerSandbox

        assert image is not None, "the docker sandbox needs an image"
        return DockerSandbox(image=image, digest=digest, runtime=runtime)
    from appliance.sandbox.process import ProcessSandbox

    return ProcessSandbox(python=python)


def execute(sandbox: Sandbox, spec: Spec, collect: Path, check: Check | None = None) -> ExecResult:
    """Create, release, run and remove, all in one."""
    with sandbox.create(spec) as box:
        box.release()
        return box.run(collect, check)
