import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli import main

HEAVY = ("docker", "pynvml", "pyarrow", "jinja2", "anthropic", "optuna", "numpy", "msgspec", "rich", "requests")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['appliance', '--help']\nfrom appliance.cli import main\n"
        f"try: main()\nexcept SystemExit: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_torch_is_not_on_the_host():
    import importlib.util

    assert importlib.util.find_spec("torch") is None


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_has_help(command: str):
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3


@pytest.mark.parametrize("hours", ["abc", "0", "-1", "nan", "inf", "1000"])
def test_a_night_needs_a_sensible_number_of_hours(hours: str):
    result = CliRunner().invoke(main, ["overnight", f"--hours={hours}"])
    assert result.exit_code == 2
    assert "hours" in result.output


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ([], None),
        (["--serve"], ("127.0.0.1", 8750)),
        (["--serve", "9000"], ("127.0.0.1", 9000)),
        (["--serve", ":0"], ("127.0.0.1", 0)),
        (["--serve", "0.0.0.0"], ("0.0.0.0", 8750)),
        (["--serve", "[::1]:9000"], ("::1", 9000)),
        (["--serve", "--resume", "x"], ("127.0.0.1", 8750)),
    ],
)
def test_a_live_page_may_be_put_anywhere(given: list[str], address: tuple[str, int] | None):
    assert main.commands["overnight"].make_context("overnight", list(given)).params["serve"] == address


@pytest.mark.parametrize("address", ["nowhere:http", "127.0.0.1:70000", "http://127.0.0.1:8750", "me@host:80", "[::1"])
def test_what_is_no_address_is_told_with_an_example(address: str):
    result = CliRunner().invoke(main, ["overnight", "--serve", address])
    assert result.exit_code == 2
    assert "127.0.0.1:8750" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["overnight", "--agent", "nobody"], "no agent 'nobody'"),
        (["overnight", "--task", "nothing"], "no task 'nothing'"),
        (["overnight", "--preset", "nothing"], "no preset 'nothing'"),
        (["overnight", "--agent", "replay"], "--replay"),
        (["data", "fetch", "nothing"], "no dataset 'nothing'"),
        (["overnight", "--device", "7"], "7"),
        (["report", "no-such-night"], "no-such-night"),
        (["overnight", "--resume"], "night"),
        (["stop"], "night"),
    ],
)
def test_a_wrong_name_is_one_line_and_exit_2(arguments: list[str], said: str):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("appliance: ")]
    assert len(lines) == 1
    assert said in lines[0]


def test_detect_prints_json_for_programs():
    result = CliRunner().invoke(main, ["detect", "--json"])
    assert result.exit_code == 0
    devices = json.loads(result.output)
    assert devices[-1]["kind"] == "cpu"


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch):
    from appliance import hardware

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hardware, "detect", interrupt)
    assert CliRunner().invoke(main, ["detect"]).exit_code == 130


def test_the_prerequisite_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    result = CliRunner().invoke(main, ["image", "show"])
    assert result.exit_code == 3
    assert "engine" in result.output


def test_a_public_page_leaves_the_nights_own_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("APPLIANCE_NIGHTS", str(tmp_path / "nights"))
    (tmp_path / "results.tsv").write_text(
        "commit\tval_bpb\tmemory_gb\tstatus\tdescription\na1\t1.5\t2.0\tkeep\tbaseline\nb2\t1.4\t2.0\tkeep\tread /home/anna/notes\n"
    )
    assert CliRunner().invoke(main, ["import", str(tmp_path / "results.tsv")]).exit_code == 0
    refused = CliRunner().invoke(main, ["report", "--public"])
    assert refused.exit_code == 2
    assert "--out" in refused.output
    assert CliRunner().invoke(main, ["report", "--public", "--out", str(tmp_path / "page.html")]).exit_code == 0
    (own,) = (tmp_path / "nights").glob("*/report.html")
    assert "/home/anna" in own.read_text()
    assert "/home/anna" not in (tmp_path / "page.html").read_text()
