"""The live page: read-only, on loopback without a token, elsewhere never without one; tells when the night moved on."""

import http.client
import json
import math
import socket

import pytest
import report_nights as nights

from appliance.errors import ApplianceError, UsageError
from appliance.records import Night
from appliance.report.live import Address, Server


@pytest.fixture(scope="module")
def night() -> Night:
    return nights.with_state(nights.a_night(6), ended_at=None, phase="search", confirmation=None)


def ask(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_the_page_and_its_version_are_served_on_loopback(night: Night) -> None:
    with Server(lambda: night).start() as server:
        assert server.address.url == f"http://127.0.0.1:{server.address.port}/"
        status, headers, page = ask(server, "/")
        assert status == 200
        assert b"so far" in page
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Type"].startswith("text/html")
        status, _, version = ask(server, "/version")
        assert json.loads(version)["running"] is True
        assert ask(server, "/", "HEAD")[2] == b""


def test_the_version_changes_when_the_night_does_and_a_night_that_ended_says_so(night: Night) -> None:
    now = [night]
    with Server(lambda: now[0], every_s=0, share=math.inf).start() as server:
        first = json.loads(ask(server, "/version")[2])
        now[0] = nights.a_night(7)
        second = json.loads(ask(server, "/version")[2])
    assert first["version"] != second["version"]
    assert second["running"] is False


@pytest.mark.parametrize("rarely", [{"every_s": 3600.0}, {"every_s": 0.0, "share": 1e-9}], ids=["often enough", "dear"])
def test_however_many_ask_the_night_is_read_rarely(night: Night, rarely: dict[str, float]) -> None:
    reads = []

    def read() -> Night:
        reads.append(1)
        return night

    with Server(read, **rarely).start() as server:
        pages = {ask(server, "/")[2] for _ in range(5)}
    assert (len(reads), len(pages)) == (1, 1)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(night: Night, method: str) -> None:
    with Server(lambda: night).start() as server:
        assert ask(server, "/", method)[0] == 501


@pytest.mark.parametrize("path", ["/night.json", "/../etc/passwd", "/journal.db", "//evil", "/%2e%2e/"])
def test_there_is_one_page_and_no_file(night: Night, path: str) -> None:
    with Server(lambda: night).start() as server:
        assert ask(server, path)[0] == 404


def test_an_address_of_six_is_served_too(night: Night) -> None:
    with Server(lambda: night, Address("::1")).start() as server:
        assert server.address.url == f"http://[::1]:{server.address.port}/"
        connection = http.client.HTTPConnection("::1", server.address.port, timeout=10)
        connection.request("GET", "/version")
        assert connection.getresponse().status == 200
        connection.close()


def test_a_name_that_is_not_ours_is_turned_away(night: Night) -> None:
    with Server(lambda: night).start() as server:
        assert ask(server, "/", Host="evil.example")[0] == 421
        assert ask(server, "/", Host=f"localhost:{server.address.port}")[0] == 200


def test_other_hosts_need_the_token_once_and_then_the_cookie(night: Night) -> None:
    with Server(lambda: night, Address("0.0.0.0")).start() as server:
        assert server.address.token
        assert server.address.token in server.address.url
        assert ask(server, "/")[0] == 403
        assert ask(server, "/?token=wrong")[0] == 403
        status, headers, _ = ask(server, f"/?token={server.address.token}")
        assert status == 200
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert ask(server, "/version", Cookie=cookie.split(";")[0])[0] == 200
        assert ask(server, "/version", Cookie="appliance_token=x")[0] == 403


def test_a_short_token_and_a_taken_port_are_refused_with_the_mend(night: Night) -> None:
    with pytest.raises(UsageError, match="16 characters"):
        Address(token="short")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ApplianceError, match="another port"):
            Address(port=taken.getsockname()[1])


def test_a_night_that_cannot_be_read_now_is_told_and_asked_for_again(night: Night) -> None:
    broken = [True]

    def read() -> Night:
        if broken[0]:
            raise ApplianceError("the ledger is being written")
        return night

    with Server(read).start() as server:
        status, _, text = ask(server, "/")
        assert (status, b"being written" in text) == (503, True)
        broken[0] = False
        assert ask(server, "/")[0] == 200
