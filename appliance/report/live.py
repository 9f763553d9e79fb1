"""The page of a night that is still running, over HTTP: read-only, on loopback unless a token guards it.

The server knows nothing of ledgers: it is given a callable that reads the night. It reads and renders only when someone asks, at most
every few seconds and for at most a fiftieth of a core's time, however many ask: the night's own runs need the machine.
A request must name the host it was started for (a page elsewhere cannot reach it by re-binding a name), and any other address
than loopback needs the token, in the address once and in a cookie after that.
"""

import hashlib
import hmac
import ipaddress
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from appliance.errors import ApplianceError, UsageError
from appliance.records import Night
from appliance.report import page
from appliance.report.facts import Facts

_COOKIE: Final = "appliance_token"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _Pages:
    """The page as last read; one reader at a time."""

    def __init__(self, read: Callable[[], Night], every_s: float, share: float) -> None:
        self._read, self._every_s, self._share = read, every_s, share
        self._lock = threading.Lock()
        self._next = 0.0
        self._html, self._version, self._running = b"", "", True

    def current(self) -> tuple[bytes, str, bool]:
        """(page, version, still running)."""
        with self._lock:
            if time.monotonic() >= self._next:
                began = time.thread_time()
                night = self._read()
                self._html = page.render(night, live=True).encode("utf-8", "replace")
                self._version = hashlib.sha256(self._html).hexdigest()[:16]
                self._running = Facts(night).running
                self._next = time.monotonic() + max(self._every_s, (time.thread_time() - began) / self._share)
            return self._html, self._version, self._running


class Address:
    """An address that listens, before there is a night to show: what cannot be served on fails before anything else begins."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, token: str | None = None, *, listening: socket.socket | None = None) -> None:
        """Binds.

        Args:
            host: an address of this machine.
            port: 0 takes a free one.
            token: who asks must know it; made where the host is not loopback and none is given. At least 16 characters.
            listening: a socket that is bound to it already.

        Raises:
            UsageError: a token too short to guard anything.
            ApplianceError: the address cannot be bound.
        """
        self.host = host
        self.loopback = _is_loopback(host)
        if token is not None and len(token) < 16:
            raise UsageError("a token needs at least 16 characters; leave it out and one is made")
        self.token = token or (None if self.loopback else secrets.token_urlsafe(24))
        try:
            self.socket = listening or socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except (OSError, OverflowError) as error:
            raise ApplianceError(f"cannot serve on {host}:{port}: {error}; choose another port or host") from error
        self.port = int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where the page is; holds the token."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")


class Server:
    """A running page. `serve_forever` blocks; `start` does it in a thread of its own; `close` ends either."""

    def __init__(self, read: Callable[[], Night], address: Address | None = None, *, every_s: float = 2.0, share: float = 0.02) -> None:
        """Takes over the address.

        Args:
            read: gives the night as it stands.
            address: where it listens; any free port of loopback without.
            every_s: the night is read at most this often,
            share: and with at most this share of one core's time; the judge calls a run disturbed where others take 0.08 of all cores.
        """
        self.address = address or Address()
        pages, guard = _Pages(read, every_s, share), self.address

        class Handler(_Handler):
            source, address = pages, guard

        self._http = ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
        self._http.socket.close()
        self._http.socket = self.address.socket
        self._http.daemon_threads = True
        self._thread: threading.Thread | None = None
        self._serving = False

    def serve_forever(self) -> None:
        """Answers until `close`."""
        self._serving = True
        self._http.serve_forever(poll_interval=0.2)

    def start(self) -> "Server":
        """Answers in a daemon thread."""
        self._serving = True
        self._thread = threading.Thread(target=self.serve_forever, name="report-live", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops and frees the port."""
        if self._serving:
            self._http.shutdown()
        self._http.server_close()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Handler(BaseHTTPRequestHandler):
    source: _Pages
    address: Address
    server_version = "appliance"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it
        """Says nothing: an address may hold the token."""

    def _answer(self, *, body: bool) -> None:
        asked = urlsplit(self.path)
        if not self._host_is_ours():
            self._send(HTTPStatus.MISDIRECTED_REQUEST, b"this server answers to its own address only\n", "text/plain", body=body)
            return
        known, from_address = self._token_is_right(asked.query)
        if not known:
            self._send(HTTPStatus.FORBIDDEN, b"the address lacks the token that `appliance serve` printed\n", "text/plain", body=body)
            return
        extra = (
            {"Set-Cookie": f"{_COOKIE}={self.address.token}; HttpOnly; SameSite=Strict; Path=/"}
            if from_address and self.address.token
            else {}
        )
        if asked.path not in {"/", "/version"}:
            self._send(HTTPStatus.NOT_FOUND, b"there is only one page here: /\n", "text/plain", body=body)
            return
        try:
            html, version, running = self.source.current()
        except Exception as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"the night cannot be read: {error}\n".encode(), "text/plain", body=body)
            return
        if asked.path == "/version":
            self._send(
                HTTPStatus.OK, json.dumps({"version": version, "running": running}).encode(), "application/json", body=body, extra=extra
            )
        else:
            self._send(HTTPStatus.OK, html, "text/html", body=body, extra=extra)

    def _host_is_ours(self) -> bool:
        """On loopback only names of loopback, so that no page elsewhere reaches it by re-binding. Elsewhere the token guards."""
        if not self.address.loopback:
            return True
        named = urlsplit("//" + (self.headers.get("Host") or "")).hostname or ""
        return named == "localhost" or _is_loopback(named)

    def _token_is_right(self, query: str) -> tuple[bool, bool]:
        """(allowed, by the address)."""
        wanted = self.address.token
        if wanted is None:
            return True, False
        given = parse_qs(query).get("token", [""])[0]
        if hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
            return True, True
        try:
            cookie = SimpleCookie(self.headers.get("Cookie") or "").get(_COOKIE)
        except CookieError:
            return False, False
        return cookie is not None and hmac.compare_digest(cookie.value.encode("utf-8", "replace"), wanted.encode()), False

    def _send(self, status: HTTPStatus, content: bytes, kind: str, *, body: bool, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            **_HEADERS,
            **(extra or {}),
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
