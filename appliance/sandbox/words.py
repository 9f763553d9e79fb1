"""What a sandbox says: its log, capped and cleaned, and the few words in it that are meant for the host."""

import queue
import re
import threading
import time
from collections import deque
from dataclasses import dataclass

LINE_BYTES = 8192
"""Longer lines are cut into pieces; only a line's first piece can hold a word."""

FREE_BYTES = 8_388_608
"""A log is read as fast as it comes up to here, then at `SLOW_BYTES_PER_S`: who floods waits for its own pipe, not the host."""

SLOW_BYTES_PER_S = 4_194_304

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Control characters but tab and newline; also those that reorder or hide text."""


def clean(data: bytes) -> str:
    """Text of a log without escapes and control characters; broken UTF-8 becomes U+FFFD."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


@dataclass(frozen=True, slots=True)
class Word:
    """Something that happened inside or to the box: `ready`, `mark`, `done`, `exit`; `eof`: it is gone; `stop`: another thread asks."""

    name: str
    at: float
    """time.monotonic() when the host saw it."""
    argument: str = ""


class Log:
    """Takes the bytes of both streams from a reading thread; gives words to the thread that waits."""

    def __init__(self, nonce: str, keep_bytes: int) -> None:
        self._prefix = f"::appliance {nonce} ".encode()
        self._keep = keep_bytes
        self._partial = {1: b"", 2: b""}
        self._at_start = {1: True, 2: True}
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._lock = threading.Lock()
        self.words: queue.Queue[Word] = queue.Queue()
        self.total_bytes = 0
        self.dropped_bytes = 0

    def feed(self, stream: int, data: bytes) -> float:
        """Take bytes of stdout (1) or stderr (2). Returns the seconds to wait before reading more."""
        at = time.monotonic()
        self.total_bytes += len(data)
        pieces = _lines(self._partial[stream] + data)
        self._partial[stream] = b""
        for number, line in enumerate(pieces):
            complete = line.endswith(b"\n")
            if not complete and number == len(pieces) - 1 and len(line) < LINE_BYTES:
                self._partial[stream] = line
                break
            for start in range(0, len(line), LINE_BYTES):
                self._take(stream, line[start : start + LINE_BYTES], at)
        excess = self.total_bytes - FREE_BYTES
        return len(data) / SLOW_BYTES_PER_S if excess > 0 else 0.0

    def _take(self, stream: int, piece: bytes, at: float) -> None:
        first, self._at_start[stream] = self._at_start[stream], piece.endswith(b"\n")
        if stream == 1 and first and piece.startswith(self._prefix) and piece.endswith(b"\n"):
            name, _, argument = piece[len(self._prefix) :].decode("ascii", "replace").strip().partition(" ")
            self.words.put(Word(name, at, argument))
            return
        with self._lock:
            self._kept.append(piece)
            self._kept_bytes += len(piece)
            while self._kept_bytes > self._keep and len(self._kept) > 1:
                dropped = len(self._kept.popleft())
                self._kept_bytes -= dropped
                self.dropped_bytes += dropped

    def end(self) -> None:
        """Both streams have closed."""
        for stream in (1, 2):
            if self._partial[stream]:
                self._take(stream, self._partial[stream], time.monotonic())
                self._partial[stream] = b""
        self.words.put(Word("eof", time.monotonic()))

    def tail(self) -> str:
        """The last of the log, at most `keep_bytes`, cleaned."""
        with self._lock:
            kept = b"".join([*self._kept, self._partial[1], self._partial[2]])
        return clean(kept[-self._keep :]).strip("\n")


def _lines(data: bytes) -> list[bytes]:
    """Split at newlines alone: a carriage return does not begin a line that could hold a word."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
