"""The log of a container as it is written: the engine's attach stream, read by a thread of its own.

The container has no log driver, so nothing of its output is kept anywhere else; who prints faster than we read waits on its pipe.
"""

import contextlib
import threading
import time
from typing import Any

import docker.errors
import requests

from appliance.errors import SandboxError
from appliance.sandbox.words import Log

_READ_BYTES = 65_536


class Attached:
    """Attached to both streams of a created container that has not been started."""

    def __init__(self, client: Any, container_id: str, log: Log) -> None:
        self._log = log
        try:
            self._holder = client.api.attach_socket(container_id, params={"stdout": 1, "stderr": 1, "stream": 1, "logs": 0})
        except (docker.errors.APIError, requests.exceptions.RequestException) as error:
            raise SandboxError(f"the engine gave no log: {error}") from error
        self._socket = getattr(self._holder, "_sock", self._holder)
        self._socket.settimeout(None)  # a training script may be silent for as long as it likes; the stream ends with the container
        self._thread = threading.Thread(target=self._follow, name="log", daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        buffer = b""
        try:
            while data := self._socket.recv(_READ_BYTES):
                buffer += data
                pause = 0.0
                while len(buffer) >= 8:
                    size = int.from_bytes(buffer[4:8], "big")
                    if len(buffer) < 8 + size:
                        break
                    pause += self._log.feed(2 if buffer[0] == 2 else 1, buffer[8 : 8 + size])
                    buffer = buffer[8 + size :]
                if pause:
                    time.sleep(pause)
        except OSError:
            pass
        finally:
            self._log.end()
            for closable in (self._holder, self._socket, getattr(self._holder, "_response", self._holder)):
                with contextlib.suppress(OSError, ValueError):
                    closable.close()
