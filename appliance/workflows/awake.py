"""Keeping the machine from suspending itself while a night runs, where systemd's login manager can be asked for that.

Only sleep that the machine begins on its own is held off: a closed lid or `systemctl suspend` by root still sends it to sleep. Runs that
were asleep are invalid and repeated, so a night on a machine that nobody can ask loses time, never truth.
"""

import contextlib
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_ANSWER_S = 5.0
_HELD = ["sh", "-c", "echo held; exec cat >/dev/null"]
"""What the inhibitor waits for: it speaks when the lock is held and ends when our end of its input closes, however we end."""


@contextlib.contextmanager
def awake(answer_s: float = _ANSWER_S) -> Iterator[bool]:
    """Hold off suspend while the block lasts; whether that could be had. Waits at most `answer_s` seconds for the answer."""
    program = shutil.which("systemd-inhibit")
    if program is None:
        yield False
        return
    command = [program, "--what=sleep:idle", "--who=appliance", "--why=a night is running", "--mode=block", *_HELD]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C does not reach it, nor does it find a terminal to ask for a password
    ) as inhibitor:
        assert inhibitor.stdin is not None
        assert inhibitor.stdout is not None
        try:
            answered = bool(select.select([inhibitor.stdout], [], [], answer_s)[0])
            held = answered and inhibitor.stdout.readline() == b"held\n"
            if not held:
                inhibitor.kill()
            yield held
        finally:
            inhibitor.stdin.close()
            try:
                inhibitor.wait(answer_s)
            except subprocess.TimeoutExpired:
                inhibitor.kill()


def sleep_states(power: Path = Path("/sys/power/state")) -> list[str]:
    """Ways in which this machine can suspend, as the kernel names them (`freeze`, `mem`, `disk`); empty where it cannot."""
    try:
        return power.read_text().split()
    except OSError:
        return []
