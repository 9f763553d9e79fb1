"""Suspend is held off where the login manager answers, for as long as asked; elsewhere a night goes on without a word."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.workflows.awake import awake, sleep_states
from appliance.workflows.doctor import examine

REAL = """#!/bin/sh
while case "$1" in --*) true;; *) false;; esac; do echo "$1" >> {log}; shift; done
"$@"
echo ended >> {log}
"""
NO_LOGIN_MANAGER = "#!/bin/sh\necho 'Failed to inhibit: no such file or directory' >&2\nexit 1\n"
SILENT = "#!/bin/sh\nexec sleep 60\n"


@pytest.fixture
def inhibitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A program in the place of systemd-inhibit."""

    def install(text: str) -> Path:
        program = tmp_path / "bin" / "systemd-inhibit"
        program.parent.mkdir()
        program.write_text(text.format(log=tmp_path / "log"))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return tmp_path / "log"

    return install


def test_it_is_held_while_the_block_lasts_and_no_longer(inhibitor):
    log = inhibitor(REAL)
    with awake() as held:
        assert held
        assert "--what=sleep:idle" in log.read_text()
        assert "ended" not in log.read_text()
    assert log.read_text().endswith("ended\n")


@pytest.mark.parametrize("text", [NO_LOGIN_MANAGER, SILENT], ids=["refuses", "does not answer"])
def test_where_it_cannot_be_had_the_night_goes_on_without(inhibitor, text: str, capfd: pytest.CaptureFixture[str]):
    inhibitor(text)
    with awake(answer_s=0.5) as held:
        assert not held
    assert capfd.readouterr() == ("", "")


def test_where_nothing_of_the_kind_is_installed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with awake() as held:
        assert not held


def test_a_night_that_is_killed_lets_the_machine_sleep(inhibitor):
    log = inhibitor(REAL)
    night = "import os\nfrom appliance.workflows.awake import awake\nwith awake(): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", night], check=False).returncode == -9
    end = time.monotonic() + 30
    while "ended" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    assert "ended" in log.read_text()


def test_the_ways_to_suspend_are_the_kernels_own_words(tmp_path: Path):
    (tmp_path / "state").write_text("freeze mem disk\n")
    assert sleep_states(tmp_path / "state") == ["freeze", "mem", "disk"]
    assert sleep_states(tmp_path / "nothing") == []


def test_the_doctor_says_how_suspend_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    finding = next(finding for finding in examine(test_sandbox=False) if finding.what == "suspend")
    assert finding.level != "missing"
    assert (finding.mend is None) == (finding.level == "good")
