"""docs/unattended.md and the units beside it: what they say can be run."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from appliance.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
UNITS = sorted((DOCS / "systemd").iterdir())
HOME = "%h/overnight-appliance"


def commands(text: str) -> list[list[str]]:
    """Every `appliance …` of a text, as its arguments."""
    lines = text.replace('appliance"', "appliance").splitlines()
    found = [match[1] for line in lines for match in re.finditer(r"appliance ((?:[a-z]+)(?: [^\s;`'|>]+)*)", line)]
    return [shlex.split(one) for one in found if one.split()[0] in main.commands]


@pytest.mark.parametrize("file", [DOCS / "unattended.md", *UNITS], ids=lambda path: path.name)
def test_every_command_that_is_shown_is_understood(file: Path):
    shown = commands(file.read_text())
    assert shown or file.suffix == ".timer"
    for name, *arguments in shown:
        command = main.commands[name]
        with command.make_context(name, list(arguments), parent=click.Context(main)) as context:
            assert context.params, (name, arguments)


def test_the_units_are_linked_from_the_page_and_the_page_from_the_readme():
    page = (DOCS / "unattended.md").read_text()
    assert {unit.name for unit in UNITS} == set(re.findall(r"\(systemd/([^)]+)\)", page))
    assert "(docs/unattended.md)" in (DOCS.parent / "README.md").read_text()


def test_a_timer_has_its_service():
    timers = [unit for unit in UNITS if unit.suffix == ".timer"]
    assert timers
    assert all(timer.with_suffix(".service") in UNITS for timer in timers)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path):
    program = tmp_path / ".venv" / "bin" / "appliance"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copies = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, copies, strict=True):
        copy.write_text(unit.read_text().replace(HOME, str(tmp_path)))
    (tmp_path / "run").mkdir(mode=0o700)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    command = ["systemd-analyze", "--user", "verify", *map(str, copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    complaints = [line for line in done.stderr.splitlines() if any(copy.name in line for copy in copies)]
    assert complaints == []
    copies[0].write_text(copies[0].read_text().replace("ExecStart=", "ExecStrat="))
    again = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "ExecStrat" in again.stderr  # it does look
