"""Files over HTTP that arrive whole: resumed where a connection broke, checked, renamed into place.

A transfer that stands still is retried with growing pauses; any progress resets the count, so that a bad line costs time and not the night.
Finished files stay in the partial folder: the next attempt starts after them.
"""

import email.message
import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from appliance.data.files import sha256_of
from appliance.data.progress import Progress
from appliance.errors import ApplianceError, UsageError

ATTEMPTS = 6
"""Attempts without a single new byte before a transfer is given up."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
_TIMEOUT_S = 60.0
_CHUNK = 1 << 20
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class _Interrupted(Exception):
    def __init__(self, why: str, pause_s: float | None = None) -> None:
        super().__init__(why)
        self.pause_s = pause_s


def check(name: str, urls: Sequence[str]) -> None:
    """Refuse anything that is not plain HTTP, and two files of one name.

    Raises:
        UsageError: naming the URL.
    """
    for url in urls:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise UsageError(f"dataset {name}: {url!r} is not an http or https address")
    names = [_name(url) for url in urls]
    if len(set(names)) != len(names):
        raise UsageError(f"dataset {name}: two urls end in the same file name")


def fetch_all(name: str, files: Sequence[tuple[str, str | None]], folder: Path, progress: Progress) -> None:
    """Fetch each (url, sha256) into `folder` under the last part of its path; a file that is there and right is not fetched again.

    Raises:
        ApplianceError: a file cannot be had, or twice not with its hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for url, sha256 in files:
        target = folder / _name(url)
        if not target.is_file() or (sha256 is not None and sha256_of(target) != sha256):
            _fetch_checked(name, url, sha256, target, progress)


def _fetch_checked(name: str, url: str, sha256: str | None, target: Path, progress: Progress) -> None:
    part = target.with_name(target.name + ".part")
    for _ in range(2):
        _transfer(name, url, part, progress)
        found = sha256_of(part)
        if sha256 is None or found == sha256:
            part.rename(target)
            return
        part.unlink()
    raise ApplianceError(
        f"dataset {name}: {url} came with SHA-256 {found[:12]}…, not {str(sha256)[:12]}…, twice: the file at the source changed"
    )


def _transfer(name: str, url: str, part: Path, progress: Progress) -> None:
    stalled = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(url, part, progress, target_name=_name(url))
        except _Interrupted as problem:
            grew = part.exists() and part.stat().st_size > before
            stalled = 1 if grew else stalled + 1
            if stalled >= ATTEMPTS:
                raise ApplianceError(
                    f"dataset {name}: {url} cannot be fetched ({problem}); run it again to go on where it stopped"
                ) from None
            time.sleep(problem.pause_s or min(FIRST_PAUSE_S * 2 ** (stalled - 1), LONGEST_PAUSE_S))
        else:
            return


def _continue(url: str, part: Path, progress: Progress, *, target_name: str) -> None:
    """One connection's worth: append to `part` until the sender has sent all.

    Raises:
        _Interrupted: worth another attempt.
        ApplianceError: the server refuses for good.
    """
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "overnight-appliance", "Accept-Encoding": "identity"})  # noqa: S310 - checked above
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            if have and response.status != 206:
                have = 0
            total = _total(response.headers, have)
            with part.open("ab" if have else "wb") as out:
                while chunk := response.read(_CHUNK):
                    out.write(chunk)
                    have += len(chunk)
                    progress(target_name, have, total)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # we hold more than there is: the file changed meanwhile, or it was complete
            if _complete(error.headers, have):
                return
            part.unlink()
            raise _Interrupted("the file at the source changed") from None
        if error.code in _RETRIED:
            raise _Interrupted(f"HTTP {error.code}", _retry_after(error.headers)) from None
        raise ApplianceError(f"{url}: HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and not isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError):
            raise
        raise _Interrupted(str(error) or type(error).__name__) from None
    if total is not None and have < total:
        raise _Interrupted(f"the connection ended after {have:,} of {total:,} bytes")


def _total(headers: email.message.Message, have: int) -> int | None:
    length = headers.get("Content-Length")
    return have + int(length) if length and length.isdigit() else None


def _complete(headers: email.message.Message, have: int) -> bool:
    return (headers.get("Content-Range") or "").rpartition("/")[2] == str(have)


def _retry_after(headers: email.message.Message) -> float | None:
    value = headers.get("Retry-After") or ""
    return min(float(value), LONGEST_PAUSE_S) if value.isdigit() else None


def _name(url: str) -> str:
    last = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    if last in {"", ".", ".."} or any(ord(character) < 32 for character in last) or len(last.encode()) > 200:
        return hashlib.sha256(url.encode()).hexdigest()[:16]
    return last
