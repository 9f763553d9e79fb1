"""One call of the Messages API, streamed: what came back, or what went wrong and what is to be done about it.

The SDK's own retries are off: each attempt is checked against the cap, and a wait must end when the night does. What each trouble means
is decided by `remedy`, a pure function over what the server said.
"""

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, cast

from appliance.agents.claude.options import Options
from appliance.agents.claude.prices import Usage
from appliance.errors import PrerequisiteError, UsageError

LONGEST_ANSWER = 400_000
"""Characters; a stream that goes on beyond is cut."""

_CHARACTERS_PER_TOKEN = 3.5
_CONNECT_S = 15.0
_CHECK_S = 5.0
_TOO_LONG = re.compile(r"(?i)prompt is too long|context (window|length|limit)|too many (input )?tokens|maximum.{0,20}tokens")
_KEY = re.compile(r"sk-ant-[\w-]{3,}|Bearer\s+\S+")
_KEY_MEND = "set ANTHROPIC_API_KEY to a key of https://console.anthropic.com, or run with --agent search, which needs none"


class Remedy(StrEnum):
    """What to do about a call that failed."""

    WAIT = "wait"
    """The server is busy or gone: ask again later."""
    SHORTEN = "shorten"
    """The prompt is too large: begin anew with less history."""
    GIVE_UP = "give_up"
    """It will not work this night: wrong key, model, account."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    usage: Usage
    stop: str
    """`end_turn`, `max_tokens`, `refusal`, …; `too_long` where it was cut by us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """A call that gave no answer."""

    name: str
    """`http_429`, `timeout`, `connection`, `cut_stream`, …"""
    detail: str
    """One line without secrets."""
    remedy: Remedy
    retry_after_s: float | None = None
    usage: Usage | None = None
    """Where the answer had begun: what the server told until then."""


def remedy(status: int, kind: str | None, message: str) -> Remedy:
    """What a status, the error's type and its message mean."""
    if status == 413 or (status == 400 and _TOO_LONG.search(message)):
        return Remedy.SHORTEN
    if status in (408, 409, 429) or status >= 500 or kind in ("overloaded_error", "api_error", "rate_limit_error", "timeout_error"):
        return Remedy.WAIT
    return Remedy.GIVE_UP


class Model:
    """The client, one call at a time."""

    def __init__(self, options: Options) -> None:
        import anthropic

        self._options = options
        self._client = anthropic.Anthropic(
            max_retries=0, timeout=anthropic.Timeout(options.timeout_s, connect=min(_CONNECT_S, options.timeout_s))
        )
        if not (self._client.api_key or self._client.auth_token):
            raise PrerequisiteError(f"the claude agent needs a key: {_KEY_MEND}")
        self._secrets = [secret for secret in (self._client.api_key, self._client.auth_token) if secret]

    def check(self) -> None:
        """Ask once, at no cost, whether the key and the model are good; a server that does not answer is not asked again.

        Raises:
            PrerequisiteError: the key is refused.
            UsageError: there is no such model.
        """
        import anthropic

        try:
            self._client.with_options(timeout=_CHECK_S).models.retrieve(self._options.model)
        except (anthropic.AuthenticationError, anthropic.PermissionDeniedError) as error:
            raise PrerequisiteError(
                f"the API refused the key ({error.status_code}: {self._clean(error.api_message or '')}): {_KEY_MEND}"
            ) from None
        except anthropic.NotFoundError as error:
            if self._options.model in (error.api_message or ""):
                raise UsageError(f"the API has no model {self._options.model!r}: name another with --model") from None
        except anthropic.AnthropicError:
            return

    def ask(self, system: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, Any]], max_tokens: int) -> Answer | Trouble:
        """One answer; never raises for what a server does."""
        import anthropic
        import httpx2

        reading = _Reading()
        try:
            extra: dict[str, Any] = {"output_config": {"effort": self._options.effort}} if self._options.effort else {}
            stream = self._client.messages.create(
                model=self._options.model,
                max_tokens=max_tokens,
                system=list(system),  # type: ignore[arg-type]
                messages=list(messages),  # type: ignore[arg-type]
                stream=True,
                **extra,
            )
            with cast(Any, stream):
                reading.read(stream, time.monotonic() + self._options.timeout_s)
        except anthropic.APITimeoutError:
            return self._broken(reading, "timeout", f"no answer within {self._options.timeout_s:g} s")
        except anthropic.APIStatusError as error:
            kind, message = error.type, self._clean(error.api_message or error.message)
            if error.status_code == 200:  # an error event in the middle of a stream
                return self._broken(reading, f"stream_{kind or 'error'}", message)
            return Trouble(
                name=f"http_{error.status_code}",
                detail=f"{error.status_code} {kind or ''}: {message}"[:300],
                remedy=remedy(error.status_code, kind, message),
                retry_after_s=_seconds(error.response.headers.get("retry-after")),
            )
        except (anthropic.APIError, httpx2.HTTPError) as error:
            return self._broken(reading, "cut_stream" if reading.begun else "connection", self._clean(f"{type(error).__name__}: {error}"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # not the API's own form
            return self._broken(reading, "not_the_api", self._clean(f"{type(error).__name__}: {error}"))
        if reading.late:
            return self._broken(reading, "timeout", f"the answer was not complete within {self._options.timeout_s:g} s")
        if reading.stop is None and not reading.too_long:
            return self._broken(reading, "cut_stream", "the answer ended in the middle")
        return Answer(
            text=self._without_secrets(reading.text), usage=reading.usage, stop="too_long" if reading.too_long else reading.stop or ""
        )

    def close(self) -> None:
        """End open connections: a call that waits fails at once."""
        self._client.close()

    def _broken(self, reading: "_Reading", name: str, detail: str) -> Trouble:
        return Trouble(name=name, detail=detail[:300], remedy=Remedy.WAIT, usage=reading.cut_usage if reading.begun else None)

    def _clean(self, text: str) -> str:
        """Without anything that could be a key."""
        return _KEY.sub("[key]", self._without_secrets(text))

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text.encode("utf-8", "replace").decode()  # half a surrogate pair is legal JSON and no text


class _Reading:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.begun = self.late = self.too_long = False
        self.stop: str | None = None
        self.usage = Usage()
        self._parts: list[str] = []
        self._length = 0

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def cut_usage(self) -> Usage:
        """Where the end never told: the text that came is counted as output."""
        return replace(self.usage, output=max(self.usage.output, math.ceil(self._length / _CHARACTERS_PER_TOKEN)))

    def read(self, stream: Any, deadline: float) -> None:
        """Until the message stops, is too long, or it is too late."""
        for event in stream:
            if event.type == "message_start":
                self.begun = True
                self._count(event.message.usage)
            elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                self._parts.append(event.delta.text)
                self._length += len(event.delta.text)
            elif event.type == "message_delta":
                self._count(event.usage)
                self.stop = event.delta.stop_reason or self.stop
            self.late, self.too_long = time.monotonic() > deadline, self._length > LONGEST_ANSWER
            if self.late or self.too_long:
                return

    def _count(self, usage: Any) -> None:
        """Cumulative counts: the last one told of each kind stands."""
        old = self.usage

        def told(name: str, before: int) -> int:
            value = getattr(usage, name, None)
            return before if value is None else int(value)

        self.usage = Usage(
            uncached=told("input_tokens", old.uncached),
            cache_write=told("cache_creation_input_tokens", old.cache_write),
            cache_read=told("cache_read_input_tokens", old.cache_read),
            output=told("output_tokens", old.output),
        )


def _seconds(header: str | None) -> float | None:
    """Of a retry-after header; one that is no number of seconds is none."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None
