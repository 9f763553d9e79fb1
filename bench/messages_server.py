"""A local server that speaks the Messages API: streaming, prompt cache, token accounting, and every trouble on demand.

Answers come from a script: a function from (request, number of the call) to `Reply`. The server counts tokens and money on its own, so that
a client's account can be held against it. Tokens are a text's characters / 3.5, rounded up.
"""

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

CHARACTERS_PER_TOKEN = 3.5
CACHE_LEAST_TOKENS = 1024
"""A shorter prefix is not cached."""
CACHE_LOOKBACK_BLOCKS = 20
CACHE_TTL_S = {"5m": 300.0, "1h": 3600.0}
KEY = "sk-ant-local-test-key-0123456789"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What one call gets."""

    text: str = ""
    status: int = 200
    error_type: str = "api_error"
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_s: float = 0.0
    """By the server's clock, before the first byte of the answer."""
    stop_reason: str = "end_turn"
    thinking_tokens: int = 0
    """Output that is billed and not shown."""
    cut_after: int | None = None
    """Characters after which the connection is closed in the middle."""
    error_event: str | None = None
    """An error event of this type instead of the answer's end."""
    hang_s: float = 0.0
    """Real seconds without a byte, then the connection is closed."""
    body: bytes | None = None
    """Sent as it stands, with `status`."""
    kind: str = ""
    """Name in a script; the server does nothing with it."""


Script = Callable[[Mapping[str, Any], int], Reply]
Prices = Mapping[str, float]
"""USD per million tokens: `input`, `cache_write`, `cache_read`, `output`."""


@dataclass(slots=True)
class Ledger:
    """What the server counted."""

    calls: int = 0
    answered: int = 0
    uncached: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0
    billed_usd: float = 0.0
    requests: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    usages: list[dict[str, int]] = field(default_factory=list)

    def cache_read_share(self) -> float:
        """Of the input tokens of all answered calls but the first; 0 where there is none."""
        later = self.usages[1:]
        total = sum(count for usage in later for name, count in usage.items() if name != "output_tokens")
        return sum(usage["cache_read_input_tokens"] for usage in later) / total if total else 0.0


class MessagesServer:
    """`with MessagesServer(script) as server: … server.url`."""

    def __init__(
        self,
        script: Script,
        *,
        prices: Prices | None = None,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
        key: str = KEY,
        models: tuple[str, ...] = ("claude-sonnet-5-5",),
    ) -> None:
        self.script, self.prices, self.wait, self.now, self.key, self.models = script, prices, wait, now, key, models
        self.ledger = Ledger()
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._cache: dict[str, float] = {}
        server = self

        class Handler(_Handler):
            owner = server

        self._http = _Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "MessagesServer":
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="messages-server", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def count_input(self, request: Mapping[str, Any]) -> dict[str, int]:
        """Tokens of a prompt: uncached, written to and read from the cache; and the cache as it is afterwards."""
        blocks = _blocks(request)
        ends, marks, length, digest = [], [], 0, hashlib.sha256()
        for part, control in blocks:
            digest.update(part.encode())
            length += len(part)
            ends.append((digest.hexdigest(), math.ceil(length / CHARACTERS_PER_TOKEN)))
            marks.append(CACHE_TTL_S[control.get("ttl", "5m")] if control else None)
        now = self.now()
        read = written = 0
        last = max((n for n, ttl in enumerate(marks) if ttl is not None), default=-1)
        with self.lock:
            for mark in (n for n, ttl in enumerate(marks) if ttl is not None):
                for n in range(mark, max(-1, mark - CACHE_LOOKBACK_BLOCKS), -1):
                    if self._cache.get(ends[n][0], -1.0) >= now:
                        read = max(read, ends[n][1])
                        break
            for n, ttl in enumerate(marks):
                if ttl is not None and ends[n][1] >= CACHE_LEAST_TOKENS:
                    self._cache[ends[n][0]] = now + ttl
                    written = ends[n][1] - read if n == last else written
        written = max(0, written)
        total = ends[-1][1]
        return {
            "input_tokens": total - read - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
        }

    def bill(self, usage: Mapping[str, int], output: int) -> None:
        """Take a call into the books."""
        with self.lock:
            book = self.ledger
            book.answered += 1
            book.uncached += usage["input_tokens"]
            book.cache_write += usage["cache_creation_input_tokens"]
            book.cache_read += usage["cache_read_input_tokens"]
            book.output += output
            book.usages.append({**usage, "output_tokens": output})
            if self.prices is not None:
                price = self.prices
                book.billed_usd += (
                    usage["input_tokens"] * price["input"]
                    + usage["cache_creation_input_tokens"] * price["cache_write"]
                    + usage["cache_read_input_tokens"] * price["cache_read"]
                    + output * price["output"]
                ) / 1e6


def tokens(text: str) -> int:
    """Of a text."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def _blocks(request: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """(text, cache control) of every block of a prompt, in order."""
    found: list[tuple[str, Mapping[str, Any] | None]] = []

    def add(content: Any, lead: str) -> None:
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        found.extend((lead + block["text"], block.get("cache_control")) for block in content)

    add(request.get("system") or [], "")
    for message in request["messages"]:
        add(message["content"], f"\n{message['role']}:")
    return found


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    owner: MessagesServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """`/v1/models/NAME`: free, and tells whether the key and the model are good."""
        if not self._authorised():
            return
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        if name in self.owner.models:
            self._json(200, {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"})
        else:
            self._error(404, "not_found_error", f"model: {name}")

    def do_POST(self) -> None:
        """`/v1/messages`."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._authorised():
            return
        owner = self.owner
        with owner.lock:
            owner.ledger.calls += 1
            number = owner.ledger.calls
            owner.ledger.requests.append(request)
        reply = owner.script(request, number)
        with owner.lock:
            owner.ledger.kinds.append(reply.kind)
        if reply.latency_s:
            owner.wait(reply.latency_s)
        if reply.hang_s:
            owner.stopping.wait(reply.hang_s)
            self.close_connection = True
            return
        if reply.body is not None:
            self._send(reply.status, reply.body, {"content-type": "text/html", **reply.headers})
        elif reply.status != 200:
            self._error(reply.status, reply.error_type, reply.message, reply.headers)
        else:
            self._stream(request, reply)

    def _stream(self, request: Mapping[str, Any], reply: Reply) -> None:
        usage = self.owner.count_input(request)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        start = {
            "id": "msg_local",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, "output_tokens": 1},
        }
        self._event("message_start", {"message": start})
        self._event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        self._event("ping", {})
        most = int((request["max_tokens"] - reply.thinking_tokens) * CHARACTERS_PER_TOKEN)
        text, stop = (reply.text, reply.stop_reason) if len(reply.text) <= most else (reply.text[: max(0, most)], "max_tokens")
        sent = text if reply.cut_after is None else text[: reply.cut_after]
        output = min(request["max_tokens"], max(1, tokens(sent) + reply.thinking_tokens))
        self.owner.bill(usage, output)
        for at in range(0, len(sent), 400):
            self._event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": sent[at : at + 400]}})
        if reply.cut_after is not None:
            self.close_connection = True  # without the last chunk: the client sees a broken body
            return
        if reply.error_event is not None:
            self._event("error", {"error": {"type": reply.error_event, "message": reply.message}})
        else:
            self._event("content_block_stop", {"index": 0})
            self._event("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": output}})
            self._event("message_stop", {})
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, name: str, data: Mapping[str, Any]) -> None:
        payload = f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()
        self.wfile.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        self.wfile.flush()

    def _authorised(self) -> bool:
        given = self.headers.get("x-api-key") or (self.headers.get("authorization") or "").removeprefix("Bearer ")
        if given == self.owner.key:
            return True
        self._error(401, "authentication_error", f"invalid key {given}")  # echoes it: a client must not pass that on
        return False

    def _error(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self._json(status, {"type": "error", "error": {"type": kind, "message": message}}, headers)

    def _json(self, status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
