"""Transfers against a real HTTP server that cuts connections, lies and stumbles."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import data
from appliance.data import http as transfers
from appliance.errors import ApplianceError, UsageError
from appliance.records import DatasetSource

BODY = b"".join(f"line {number} of a long document\n".encode() for number in range(20_000))


class BadLine(http.server.ThreadingHTTPServer):
    """Serves BODY, `cut_after` bytes per connection; answers `errors` first; knows Range unless told otherwise."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut_after: int | None = None
        self.errors: list[int] = []
        self.ranges = True
        self.bodies = [BODY]
        self.asked: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: BadLine

    def do_GET(self) -> None:
        wanted = self.headers.get("Range") if self.server.ranges else None
        self.server.asked.append(wanted or "all")
        if self.server.errors:
            self.send_response(self.server.errors.pop(0))
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.server.bodies.pop(0) if len(self.server.bodies) > 1 else self.server.bodies[0]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        rest = body[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.cut_after])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BadLine]:
    monkeypatch.setenv("APPLIANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfers, "FIRST_PAUSE_S", 0.001)
    with BadLine() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def source(server: BadLine, *, sha256: str | None = hashlib.sha256(BODY).hexdigest()) -> DatasetSource:
    url = f"http://127.0.0.1:{server.server_port}/shard.txt"
    return DatasetSource(source="http", urls=[url], sha256s=[sha256] if sha256 else [], license="none", description="")


def test_a_transfer_goes_on_where_the_connection_broke(server: BadLine) -> None:
    server.cut_after = 100_000
    folder = data.fetch("shards", source(server))
    assert (folder / "shard.txt").read_bytes() == BODY
    assert server.asked[:3] == ["all", "bytes=100000-", "bytes=200000-"]


def test_a_server_without_ranges_is_read_from_the_start_again(server: BadLine) -> None:
    server.cut_after = 100_000
    server.ranges = False
    with pytest.raises(ApplianceError, match="run it again to go on"):
        data.fetch("shards", source(server))
    server.cut_after = None
    assert (data.fetch("shards", source(server)) / "shard.txt").read_bytes() == BODY


def test_what_another_attempt_left_is_continued_not_repeated(server: BadLine, tmp_path: Path) -> None:
    server.cut_after = 0
    with pytest.raises(ApplianceError, match="the connection ended after 0 of"):
        data.fetch("shards", source(server))
    partial = next((tmp_path / "cache" / "raw").glob("*.partial"))
    (partial / "shard.txt.part").write_bytes(BODY[:50_000])
    server.cut_after = None
    data.fetch("shards", source(server))
    assert server.asked[-1] == "bytes=50000-"


def test_errors_that_pass_are_retried(server: BadLine) -> None:
    server.errors = [503, 429, 500]
    assert (data.fetch("shards", source(server)) / "shard.txt").read_bytes() == BODY


def test_an_error_that_stays_is_said_at_once_with_the_address(server: BadLine) -> None:
    server.errors = [404] * 10
    with pytest.raises(ApplianceError, match=r"shard.txt: HTTP 404"):
        data.fetch("shards", source(server))
    assert len(server.asked) == 1


def test_a_corrupted_file_is_fetched_once_more_from_the_start(server: BadLine) -> None:
    server.bodies = [b"x" + BODY[1:], BODY]
    assert (data.fetch("shards", source(server)) / "shard.txt").read_bytes() == BODY
    assert server.asked == ["all", "all"]


def test_a_file_that_is_twice_wrong_is_given_up_and_nothing_half_written_stays(server: BadLine, tmp_path: Path) -> None:
    server.bodies = [b"x" + BODY[1:]]
    with pytest.raises(ApplianceError, match=r"came with SHA-256 .* twice"):
        data.fetch("shards", source(server))
    raw = tmp_path / "cache" / "raw"
    assert [path for path in raw.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_without_a_pin_the_digest_is_that_of_what_came(server: BadLine) -> None:
    unpinned = source(server, sha256=None)
    with pytest.raises(ApplianceError, match="appliance data fetch shards"):
        data.source_digest("shards", unpinned)
    data.fetch("shards", unpinned)
    assert len(data.source_digest("shards", unpinned)) == 64


def test_a_second_fetch_asks_nobody(server: BadLine) -> None:
    data.fetch("shards", source(server))
    asked = len(server.asked)
    data.fetch("shards", source(server))
    assert len(server.asked) == asked


def test_only_http_addresses_are_fetched() -> None:
    local = DatasetSource(source="http", urls=["file:///etc/passwd"], license="none", description="")
    with pytest.raises(UsageError, match="not an http or https address"):
        data.fetch("shards", local)


def test_a_server_that_is_not_there_is_named(server: BadLine) -> None:
    gone = DatasetSource(source="http", urls=["http://127.0.0.1:9/shard.txt"], license="none", description="")
    with pytest.raises(ApplianceError, match=r"127.0.0.1:9/shard.txt cannot be fetched"):
        data.fetch("shards", gone)
