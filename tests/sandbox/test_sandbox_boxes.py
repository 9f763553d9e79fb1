"""The protocol and its limits, against real containers and real processes."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from stub_task import MakeSpec

from appliance.errors import SandboxError
from appliance.records import Clock, ExecResult, Reason
from appliance.sandbox import Sandbox, Spec, Start, execute, failures
from appliance.sandbox.keeper import descendants

HONEST = """
    b = start()
    time.sleep(b)
    put("claims.json", '{"observables": {}, "curve": []}')
    finish()
"""


def run(sandbox: Sandbox, spec: Spec, place: Path, start: Start | None = None) -> ExecResult:
    with sandbox.create(spec) as box:
        box.release(start)
        return box.run(place / "collect")


def named(result: ExecResult) -> Reason | None:
    found = failures.name(result)
    return found[0] if found else None


def collected(place: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (place / "collect").iterdir()}


def lives(pid: int) -> bool:
    """A killed process may be a zombie until its new parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def test_an_honest_run_hands_over_its_files_and_its_times(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec(HONEST), place)
    assert named(result) is None
    assert result.marked
    assert result.done
    assert result.ended_by == "program"
    assert result.budget_s == 0.3
    assert result.train_s is not None
    assert result.train_s >= 0.3
    assert sorted(collected(place)) == ["claims.json", "graph.json", "weights.safetensors"]


def test_a_program_that_exits_after_done_loses_nothing(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec('start(); put("weights.safetensors", "w"); say("done")'), place)
    assert named(result) is None
    assert collected(place)["weights.safetensors"] == "w"


def test_a_command_without_a_clock_needs_no_mark(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    spec = make_spec('put("claims.json", json.dumps(dict(os.environ))); say("done")', clock=None, collect=make_spec("").collect[2:])
    result = run(sandbox, spec, place)
    assert named(result) is None
    assert not result.marked
    assert result.budget_s is None


def test_the_environment_is_built_from_nothing(sandbox: Sandbox, make_spec: MakeSpec, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "HTTPS_PROXY", "LD_PRELOAD_OF_MINE", "PYTHONPATH"):
        monkeypatch.setenv(name, "/nowhere")
    spec = make_spec('put("claims.json", json.dumps(sorted(os.environ))); say("done")', clock=None, collect=make_spec("").collect[2:])
    run(sandbox, spec, place)
    allowed = {"HOME", "HOSTNAME", "LANG", "OMP_NUM_THREADS", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "TMPDIR"}
    others = {name for name in json.loads(collected(place)["claims.json"]) if not name.startswith("APPLIANCE_")}
    assert others - {"CUDA_VISIBLE_DEVICES", "LC_CTYPE"} <= allowed


def test_one_that_never_starts_the_clock_is_ended_in_start_up(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("time.sleep(100)", clock=Clock(startup_cap_s=0.5)), place)
    assert named(result) is Reason.STARTUP_TIMEOUT


def test_one_that_never_stops_is_killed_at_budget_and_finish_cap(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("start(); time.sleep(100)", clock=Clock(finish_cap_s=0.5)), place)
    assert named(result) is Reason.TIMEOUT
    assert result.train_s == pytest.approx(0.8)
    assert sorted(collected(place)) == ["graph.json"]


def test_start_up_beyond_the_calibrated_one_is_taken_off_the_budget(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    slow = 'say("ready"); wait("release"); time.sleep(1.2)' + HONEST
    spec = make_spec("", budget_s=2.0, clock=Clock(startup_cap_s=10, startup_allowance_s=0.5))
    (place / "task" / "run.py").write_text((place / "task" / "run.py").read_text() + slow.replace("\n    ", "\n"))
    result = run(sandbox, spec, place, Start(startup_calibrated_s=0.1))
    assert result.startup_s is not None
    assert result.startup_s >= 1.0
    assert result.budget_s == pytest.approx(2.0 - (result.startup_s - 0.6))


def test_a_start_up_that_eats_the_whole_budget_ends_the_run(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    spec = make_spec(
        'say("ready"); wait("release"); time.sleep(0.5); start()',
        budget_s=0.2,
        clock=Clock(startup_allowance_s=0.0),
    )
    result = run(sandbox, spec, place, Start(startup_calibrated_s=0.0))
    assert named(result) is Reason.STARTUP_TIMEOUT
    assert result.budget_s is None


def test_a_memory_bomb_is_named(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("start(); bomb = bytearray(10**9); finish()"), place)
    assert named(result) is Reason.OUT_OF_MEMORY


@pytest.mark.engine
def test_a_child_out_of_memory_is_named_although_its_parent_exits_with_0(docker_sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    program = """
        start()
        if os.fork() == 0:
            bomb = bytearray(10**9)
        os.wait()
    """
    result = run(docker_sandbox, make_spec(program), place)
    assert result.exit_code == 0
    assert named(result) is Reason.OUT_OF_MEMORY


def test_a_fork_bomb_stops_at_its_limit(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    spec = make_spec("start()\nwhile True: os.fork()", clock=Clock(finish_cap_s=3))
    with sandbox.create(spec) as box:
        if sandbox.isolation == "none" and getattr(box, "user", None) is None:
            pytest.skip("only a user of its own bounds the number of processes here")
        result = box.run(place / "collect")
    assert named(result) in {Reason.TOO_MANY_PROCESSES, Reason.TIMEOUT}


def test_one_that_writes_100_gb_fills_nothing(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    program = """
        start()
        with open(os.path.join(out, "weights.safetensors"), "wb") as handle:
            for _ in range(100_000):
                handle.write(bytes(10**6))
    """
    assert named(run(sandbox, make_spec(program), place)) is Reason.DISK_FULL


@pytest.mark.engine
def test_an_inode_bomb_stops_at_its_limit(docker_sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(docker_sandbox, make_spec("start()\nfor i in range(10**6): put(str(i), '')"), place)
    assert named(result) is Reason.DISK_FULL


def test_one_that_prints_1_gb_is_slowed_down_and_its_log_is_capped(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(
        sandbox, make_spec("start()\nfor i in range(10**4): sys.stdout.write('x' * 10**5)\nfinish()", clock=Clock(finish_cap_s=1)), place
    )
    assert named(result) is Reason.TIMEOUT
    assert len(result.log_tail) <= 20_000
    assert 0 < result.log_dropped_bytes < 100_000_000


def test_one_that_exits_without_artifact_is_named(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    assert named(run(sandbox, make_spec("start()"), place)) is Reason.NO_ARTIFACT
    assert named(run(sandbox, make_spec("pass"), place)) is Reason.NO_MARK


def test_one_that_says_done_without_artifact_is_named(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("start(); say('done'); time.sleep(9)"), place)
    assert named(result) is Reason.NO_ARTIFACT
    assert result.refused == "weights.safetensors is not there"


@pytest.mark.parametrize(
    "make",
    [
        "os.symlink('/etc/passwd', path)",
        "os.mkfifo(path)",
        "os.mkdir(path)",
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind(path)",
    ],
)
def test_only_a_regular_file_is_taken(sandbox: Sandbox, make_spec: MakeSpec, place: Path, make: str) -> None:
    result = run(sandbox, make_spec(f"start()\npath = os.path.join(out, 'weights.safetensors')\n{make}\nsay('done'); time.sleep(9)"), place)
    assert named(result) is Reason.ARTIFACT_NOT_ALLOWED
    assert sorted(collected(place)) == ["graph.json"]


def test_a_file_above_its_cap_is_refused(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("start(); put('weights.safetensors', 'w' * 1_000_001); say('done'); time.sleep(9)"), place)
    assert named(result) is Reason.ARTIFACT_TOO_LARGE
    assert sorted(collected(place)) == ["graph.json"]


def test_a_file_of_the_mark_swapped_later_stays_as_it_was_at_the_mark(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("start(); put('graph.json', 'another'); finish()"), place)
    assert named(result) is None
    assert collected(place)["graph.json"] == "{}"


def test_nothing_runs_between_the_mark_and_the_grant(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    program = """
        import threading
        ticks = []
        def tick():
            while True:
                ticks.append(time.monotonic())
                time.sleep(0.01)
        threading.Thread(target=tick, daemon=True).start()
        start()
        time.sleep(0.1)
        put("claims.json", str(max(b - a for a, b in zip(ticks, ticks[1:]))))
        finish()
    """

    def slow_check(folder: Path) -> None:
        time.sleep(0.6)

    execute(sandbox, make_spec(program), place / "collect", slow_check)
    assert float(collected(place)["claims.json"]) > 0.5


def test_a_check_at_the_mark_ends_the_run_there(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    seen = []

    def check(folder: Path) -> tuple[Reason, str]:
        seen.append(sorted(file.name for file in folder.iterdir()))
        return Reason.ARTIFACT_NOT_ALLOWED, "an operation off the list"

    result = execute(sandbox, make_spec(HONEST), place / "collect", check)
    assert seen == [["graph.json"]]
    assert result.ended_by == "host"
    assert failures.name(result) == (Reason.ARTIFACT_NOT_ALLOWED, "an operation off the list")
    assert result.budget_s is None


def test_a_child_that_left_its_parent_does_not_outlive_the_box(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    program = """
        start()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(12345)
            os._exit(0)
        os.wait()
        finish()
    """
    with sandbox.create(make_spec(program)) as box:
        inside: list[int] = []

        def look(folder: Path) -> None:
            inside.extend(descendants(box.pid or 0))

        result = box.run(place / "collect", look)
    assert named(result) is None
    assert inside
    assert not [pid for pid in inside if lives(pid)]


def test_another_thread_can_stop_a_run(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    with sandbox.create(make_spec(HONEST, budget_s=60)) as box:
        threading.Timer(0.5, box.stop).start()
        result = box.run(place / "collect")
    assert named(result) is Reason.INTERRUPTED


def test_a_box_in_stand_by_waits_frozen_and_imports_are_not_start_up(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    with sandbox.create(make_spec("time.sleep(1)" + HONEST.replace("\n    ", "\n"))) as box:
        time.sleep(1.5)
        box.pause()
        result = box.run(place / "collect")
    assert named(result) is None
    assert result.startup_s is not None
    assert result.startup_s < 1


def test_a_traceback_becomes_one_line(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    result = run(sandbox, make_spec("start(); raise ValueError('width 7 is not a multiple of 8 heads')"), place)
    assert failures.name(result) == (Reason.CRASH, "ValueError: width 7 is not a multiple of 8 heads")


def test_a_trusted_command_writes_into_a_folder_of_the_host(sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    (place / "prepared").mkdir()
    spec = make_spec(
        "os.mkdir(out + '/train'); put('train/a.bin', 'tokens'); say('done')", clock=None, collect=(), out_folder=place / "prepared"
    )
    assert named(run(sandbox, spec, place)) is None
    assert (place / "prepared" / "train" / "a.bin").read_text() == "tokens"


def test_a_path_is_no_name_to_collect(sandbox: Sandbox, make_spec: MakeSpec) -> None:
    file = make_spec("").collect[0]
    with pytest.raises(SandboxError, match="plain file name"):
        sandbox.create(make_spec("", collect=(type(file)(name="../graph.json", at="end", max_bytes=1),)))


@pytest.mark.engine
def test_what_a_killed_host_left_is_swept_and_what_lives_is_not(docker_sandbox: Sandbox, make_spec: MakeSpec, place: Path) -> None:
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from stub_task import DEVICE, LIMITS
from appliance.sandbox import Spec, open_sandbox
box = open_sandbox("docker", image={docker_sandbox.image!r}).create(
    Spec(command=("sleep", "1000"), folders={{}}, device=DEVICE, limits=LIMITS, labels={{"night": "orphan"}})
)
print(box.name, flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        name = host.stdout.readline().strip()
        assert docker_sandbox.sweep({"night": "orphan"}) == []
        host.kill()
    assert docker_sandbox.sweep({"night": "orphan"}) == [name, name]  # the container and its volume
