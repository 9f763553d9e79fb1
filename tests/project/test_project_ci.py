"""The CI files, against the published schemas of those who read them, and what they promise: pinned, capped, nothing but `reproduce`."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from appliance.cli.exchange import reproduce

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SKY = ROOT / "docs" / "cloud" / "reproduce.sky.yaml"
FLAGS = {flag for parameter in reproduce.params for flag in parameter.opts}

SKY_FIELDS = {
    "type": "object",
    "required": ["name", "resources", "run"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "workdir": {"type": "string"},
        "resources": {
            "type": "object",
            "required": ["accelerators", "autostop", "max_hourly_cost"],
            "additionalProperties": False,
            "properties": {
                "accelerators": {"type": "string"},
                "disk_size": {"type": "integer"},
                "max_hourly_cost": {"type": "number", "exclusiveMinimum": 0},
                "autostop": {
                    "type": "object",
                    "required": ["idle_minutes", "down"],
                    "additionalProperties": False,
                    "properties": {"idle_minutes": {"type": "integer", "minimum": 0}, "down": {"const": True}},
                },
            },
        },
        "envs": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "setup": {"type": "string"},
        "run": {"type": "string"},
    },
}
"""The fields used, typed as in `sky/utils/schemas.py` of SkyPilot 0.14.1; the long test holds the file against that itself."""

SKY_WHEEL = "skypilot==0.14.1"
SKY_SCHEMA = """
import importlib, json, sys, types
def package(name):
    module = types.ModuleType(name)
    module.__path__, module.__version__ = [f"{sys.argv[1]}/{name.replace('.', '/')}"], "0"
    sys.modules[name] = module
    return module
for name in ("sky", "sky.skylet", "sky.utils", "sky.server"):  # without their __init__, which import half the clouds
    package(name)
for name, member in (("sky.skylet.autostop_lib", "AutostopWaitFor"), ("sky.server.daemons", "INTERNAL_REQUEST_DAEMONS")):
    module = package(name)
    setattr(module, member, types.SimpleNamespace(supported_modes=list) if member[0] == "A" else [])
    setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], module)
schemas = importlib.import_module("sky.utils.schemas")
print(json.dumps({"task": schemas.get_task_schema(), "resources": schemas.get_resources_schema()}))
"""


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe").load(path.read_text())  # YAML 1.2: `on` is a word
    return document


def scripts(document: dict[str, Any]) -> list[str]:
    return [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step]


def check(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_workflows_are_what_github_reads(tmp_path: Path) -> None:
    assert {file.name for file in WORKFLOWS} >= {"ci.yml", "reproduce.yml"}
    done = check(*WORKFLOWS)
    assert done.returncode == 0, done.stdout
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert check(broken).returncode == 1


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_may_read_and_nothing_else_and_its_actions_are_pinned(file: Path) -> None:
    document = read(file)
    assert document["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in document["jobs"].values())
    assert all("timeout-minutes" in job for job in document["jobs"].values())
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_what_people_type_never_becomes_the_text_of_a_script(file: Path) -> None:
    for script in scripts(read(file)):
        assert "${{" not in script
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_reproduce_starts_by_hand_only_and_ends_with_its_budget() -> None:
    document = read(ROOT / ".github" / "workflows" / "reproduce.yml")
    assert list(document["on"]) == ["workflow_dispatch"]
    inputs = document["on"]["workflow_dispatch"]["inputs"]
    (job,) = document["jobs"].values()
    assert set(inputs) == {"bundle", "sha256", "runner", "runs", "minutes"}
    assert job["timeout-minutes"] == "${{ fromJSON(inputs.minutes) }}"
    assert job["runs-on"] == "${{ inputs.runner }}"
    (kept,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact@")]
    assert kept["if"] == "always()"


@pytest.mark.parametrize("file", [ROOT / ".github" / "workflows" / "reproduce.yml", SKY], ids=lambda file: file.name)
def test_both_call_reproduce_with_options_that_it_has(file: Path) -> None:
    document = read(file)
    text = "\n".join([document["run"]] if "run" in document else scripts(document)).replace("\\\n", " ")
    calls = [line for line in text.splitlines() if "bin/appliance" in line]
    assert len(calls) == 1
    words = shlex.split(calls[0].partition("bin/appliance")[2])
    assert words[0] == "reproduce"
    assert {word for word in words if word.startswith("--")} == {"--runs", "--junit", "--report", "--json"} <= FLAGS


def test_a_bundle_from_the_repository_is_taken_and_its_digest_held_to(tmp_path: Path) -> None:
    (fetch,) = [script for script in scripts(read(ROOT / ".github" / "workflows" / "reproduce.yml")) if "curl" in script]
    (tmp_path / "b.tar").write_bytes(b"bundle")

    def run(**environment: str) -> int:
        values = {"PATH": os.environ["PATH"], "SHA256": "", **environment}
        return subprocess.run(["bash", "-e", "-c", fetch], cwd=tmp_path, env=values, check=False, capture_output=True).returncode

    assert run(BUNDLE="b.tar") == 0
    assert (tmp_path / "reproduction" / "bundle.tar").read_bytes() == b"bundle"
    assert run(BUNDLE="b.tar", SHA256="0" * 64) != 0
    assert run(BUNDLE="http://example.invalid/b.tar") != 0
    assert run(BUNDLE="--help; touch here") != 0
    assert not (tmp_path / "here").exists()


def test_the_rented_machine_shuts_itself_down_and_the_task_has_only_known_fields() -> None:
    jsonschema.validate(read(SKY), SKY_FIELDS)


@pytest.mark.parametrize("code", [0, 1, 124])
def test_the_rented_machine_hands_on_the_exit_code_and_the_report(tmp_path: Path, code: int) -> None:
    tool = tmp_path / ".venv" / "bin" / "appliance"
    tool.parent.mkdir(parents=True)
    tool.write_text(f'#!/bin/sh\necho "$@" > asked\necho "# answer" > reproduction/report.md\nexit {code}\n')
    tool.chmod(0o755)
    task = read(SKY)
    values = {"PATH": os.environ["PATH"], **task["envs"], "BUNDLE": "a bundle.tar"}
    done = subprocess.run(["bash", "-c", task["run"]], cwd=tmp_path, env=values, check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout == "# answer\n"
    assert (tmp_path / "asked").read_text().startswith("reproduce a bundle.tar --runs 4 ")


@pytest.mark.long
def test_the_task_is_what_skypilot_reads(tmp_path: Path) -> None:
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--target",
        str(tmp_path),
        SKY_WHEEL,
    ]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{SKY_WHEEL} cannot be fetched here: {done.stderr.strip().splitlines()[-1]}")
    told = subprocess.run([sys.executable, "-c", SKY_SCHEMA, str(tmp_path)], capture_output=True, text=True, check=True)
    schema, task = json.loads(told.stdout), read(SKY)
    jsonschema.validate(task, schema["task"])
    jsonschema.validate(task["resources"], schema["resources"])
    for wrong in ({**task, "budget": 1}, {**task, "envs": {"RUNS": 4}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema["task"])
