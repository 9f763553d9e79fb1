"""The live page of a night, from a process of its own beside it.

Not a thread of the night: rendering would hold the interpreter that keeps the clock of the runs, and compete with them at the night's own
priority. The process gets only the time that nobody else wants (`SCHED_IDLE`; Linux then treats its disk reads alike), works only when a
page is asked for, and ends with the night however that ends: its standard input is the other end of a pipe that the night holds.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from appliance import ledger, report

_END_S = 5.0
"""At idle priority an end may take its time."""


@contextlib.contextmanager
def page_beside(folder: Path, address: report.Address) -> Iterator[None]:
    """Serve the page of the night in `folder` while the block lasts; nothing that goes wrong with it reaches the night."""
    with contextlib.ExitStack() as beside:
        with contextlib.suppress(OSError):  # no process to be had: a night without its live page
            beside.enter_context(_server(folder, address))
        yield


@contextlib.contextmanager
def _server(folder: Path, address: report.Address) -> Iterator[None]:
    with address.socket as listening:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder), address.host, str(listening.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            start_new_session=True,  # Ctrl-C is for the night, which needs a moment to end
        )
    assert server.stdin is not None
    try:
        with contextlib.suppress(OSError):
            server.stdin.write(f"{address.token or ''}\n".encode())  # an argument could be seen by everyone on this machine
            server.stdin.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            server.stdin.close()
        try:
            server.wait(_END_S)
        except subprocess.TimeoutExpired:
            server.kill()  # not waited for: at idle priority even that may take long on a busy machine


def _serve(folder: Path, host: str, descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a kernel that knows no such priority
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    token = sys.stdin.readline().strip() or None
    address = report.Address(host, token=token, listening=socket.socket(fileno=descriptor))
    with report.Server(lambda: ledger.read(folder), address).start():
        sys.stdin.read()  # until the night ends


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
