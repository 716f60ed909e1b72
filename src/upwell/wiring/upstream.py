"""Another server that speaks OpenAI's API, asked in this project's name. Off unless it is set.

Where it lies is the operator's own setting, so any address is allowed, private ones too. Redirects
are not followed, so its key goes to no other host; proxies of the environment are not used. Who
asks, and what is kept beside an answer, is not sent.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from itertools import chain
from time import monotonic
from typing import Any, NoReturn
from urllib.parse import urlsplit

from upwell.errors import StageError
from upwell.ports import Piece, Pieces
from upwell.settings import ServeSettings
from upwell.store.database import is_storable

LONGEST_LINE = 1 << 20
LONGEST_BODY = 8 << 20
"""Bytes of an answer at most, streamed or not."""
LONGEST_NAME = 512
_AT_ONCE, _SHOWN = 1 << 16, 200
_ASKED_WRONG = (400, 404, 409, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server at ``url``, with the key that the environment variable ``key_env`` holds.

    It may be silent for ``seconds``, and take ``longest`` for an answer once it has begun one.
    """

    url: str
    key_env: str
    seconds: float
    longest: float = 300.0

    @classmethod
    def of(cls, settings: ServeSettings) -> Upstream:
        """The server that the settings name."""
        longest = settings.reply_seconds
        silent = min(settings.upstream_seconds, longest)
        return cls(settings.upstream, settings.upstream_key_env, silent, longest)

    @property
    def host(self) -> str:
        """Its host, for people."""
        return urlsplit(self.url).netloc

    def talk(self, asked: Mapping[str, Any], is_stream: bool) -> tuple[str, Pieces]:
        """The model that answers, by the name that it gives itself, and its reply.

        Raises StageError ``upstream.late``, ``upstream.unreachable``, ``upstream.busy``,
        ``upstream.refused``, ``upstream.no_model``, ``upstream.failed``, ``upstream.garbage`` and
        ``upstream.no_key``; while pieces come, the first two and ``upstream.garbage`` too.
        """
        more = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
        with ExitStack() as held:
            with _told(self):
                answer = self._sent(held, json.dumps({**asked, **more}).encode())
                parts = self._parts(answer)
                events = _events(parts) if is_stream else iter([_read(parts)])
                first = next(events, {})
                model = _text(first.get("model") or asked["model"])[:LONGEST_NAME]
                pieces = (_streamed if is_stream else _whole)(chain([first], events), self)
            return model, _Line(pieces, held.pop_all(), self)

    def _connection(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return HTTPSConnection(host, port, timeout=self.seconds, context=context)
        return HTTPConnection(host, port, timeout=self.seconds)

    def _sent(self, held: ExitStack, body: bytes) -> HTTPResponse:
        connection = held.enter_context(closing(self._connection()))
        path = urlsplit(self.url).path.rstrip("/") + "/chat/completions"
        headers = {"Content-Type": "application/json", "Accept": "*/*", **self._key()}
        connection.request("POST", path, body, headers)
        # An answer without a length takes the connection over, and has to be closed itself.
        answer = held.enter_context(closing(connection.getresponse()))
        if answer.status != 200:
            self._refused(answer)
        return answer

    def _key(self) -> dict[str, str]:
        if not self.key_env:
            return {}
        key = os.environ.get(self.key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise StageError("upstream.no_key", variable=self.key_env)
        return {"Authorization": f"Bearer {key}"}

    def _parts(self, answer: HTTPResponse) -> Iterator[bytes]:
        """An answer as it comes. Raises ValueError where nothing does, or too much.

        What keeps a connection open alone must not hold a thread for ever, so all has an end.
        """
        until, size = monotonic() + self.longest, 0
        while part := answer.read1(_AT_ONCE):
            size += len(part)
            if size > LONGEST_BODY:
                raise ValueError("too large")
            if monotonic() > until:
                raise StageError("upstream.late", host=self.host, seconds=self.longest)
            yield part
        if not size:
            raise ValueError("nothing came")

    def _refused(self, answer: HTTPResponse) -> NoReturn:
        status, host = answer.status, self.host
        if status == 429:
            wait = answer.headers.get("Retry-After", "")
            seconds = min(int(wait), 3600) if wait.isascii() and wait.isdigit() else 1
            raise StageError("upstream.busy", host=host, seconds=seconds)
        if status in _ASKED_WRONG:
            code = "upstream.no_model" if status == 404 else "upstream.refused"
            raise StageError(code, host=host, status=status, problem=_problem(self._parts(answer)))
        raise StageError("upstream.failed", host=host, status=status)


class _Line(Iterator[Piece]):
    """The pieces of an answer, and what is ``held`` open for them."""

    def __init__(self, pieces: Pieces, held: ExitStack, upstream: Upstream) -> None:
        self._pieces, self._held, self._upstream = pieces, held, upstream

    def __next__(self) -> Piece:
        try:
            with _told(self._upstream):
                return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ask for no more."""
        self._held.close()


@contextmanager
def _told(upstream: Upstream) -> Iterator[None]:
    """What goes wrong with a connection, as errors of Upwell."""
    host = upstream.host
    try:
        yield
    except TimeoutError:
        raise StageError("upstream.late", host=host, seconds=upstream.seconds) from None
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise StageError("upstream.unreachable", host=host, problem=problem) from None
    except (HTTPException, LookupError, TypeError, AttributeError, ValueError, RecursionError):
        raise StageError("upstream.garbage", host=host) from None


def _read(parts: Iterator[bytes]) -> dict[str, Any]:
    """The JSON object of an answer. Raises ValueError where it is none."""
    found = json.loads(b"".join(parts))
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of an answer. Raises ValueError for one that is too long."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
        if len(rest) > LONGEST_LINE:
            raise ValueError("too long")
    yield rest


def _events(parts: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of an event stream. Raises ValueError for anything else."""
    for line in _lines(parts):
        name, _, data = line.decode().strip().partition(":")
        if name != "data":
            # Comments keep a connection open; what is no event stream at all has no such line.
            continue
        if data.strip() == "[DONE]":
            return
        found = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        yield found


def _streamed(events: Iterator[dict[str, Any]], upstream: Upstream) -> Pieces:
    """The pieces of a stream. Raises ValueError where it breaks off before its end."""
    end, prompt, completion = "", 0, 0
    for event in events:
        if event.get("error"):
            raise StageError("upstream.failed", host=upstream.host, status=200)
        usage = event.get("usage") or {}
        # Some servers send the counts with every event, and null until they know them.
        prompt = int(usage.get("prompt_tokens") or prompt)
        completion = int(usage.get("completion_tokens") or completion)
        for choice in (event.get("choices") or [])[:1]:
            text = _text((choice.get("delta") or {}).get("content") or "")
            end = choice.get("finish_reason") or end
            if text:
                completion += not usage.get("completion_tokens")
                yield Piece(text, "", prompt, completion)
    if not end:
        raise ValueError("cut off")
    yield Piece("", _end(end), prompt, completion)


def _whole(answers: Iterator[dict[str, Any]], upstream: Upstream) -> Pieces:
    """The one piece of an answer that was not streamed."""
    answer = next(answers)
    choice = answer["choices"][0]
    text, usage = _text(choice["message"]["content"] or ""), answer.get("usage") or {}
    tokens = (int(usage.get(f"{name}_tokens") or 0) for name in ("prompt", "completion"))
    yield Piece(text, _end(choice.get("finish_reason")), *tokens)


def _text(value: object) -> str:
    """Raises ValueError for what is no text that can be stored."""
    if not isinstance(value, str) or not is_storable(value):
        raise ValueError("no text")
    return value


def _end(reason: object) -> str:
    return "length" if reason == "length" else "stop"


def _problem(parts: Iterator[bytes]) -> str:
    """What the server says is wrong with a request, in short."""
    try:
        found = _read(parts)["error"]
        text = found["message"] if isinstance(found, dict) else found
    except (HTTPException, LookupError, ValueError, RecursionError):
        return "?"
    return " ".join(str(text).split())[:_SHOWN] or "?"
