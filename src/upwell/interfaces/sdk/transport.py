"""Requests to a service over connections that stay open, one a thread."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import local
from typing import Any
from urllib.parse import urlsplit

from upwell.errors import InterfaceError

WORTH_SQUEEZING = 1_000
"""Bytes of a body from which it is sent compressed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered."""

    status: int
    body: Any
    wait: float | None = field(default=None)
    """Seconds after which it wants to be asked again (``Retry-After``)."""

    @property
    def is_busy(self) -> bool:
        """Whether the same request may well succeed later."""
        return self.status == 429 or self.status >= 500


class Transport:
    """Speaks JSON to one service."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InterfaceError("sdk.url", url=url[:200])
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._timeout, self.url = timeout, url
        self._mine, self._every = local(), list[HTTPConnection]()
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def send(self, method: str, path: str, body: object = None) -> Reply:
        """One request, tried once more where an open connection turns out to be dead.

        Raises InterfaceError ``sdk.unreachable`` when no answer comes.
        """
        content, headers = _packed(body)
        for attempt in (0, 1):
            connection = self._connection()
            fresh = connection.sock is None
            try:
                sent = {**self._headers, **headers}
                connection.request(method, f"{self._base}{path}", content, sent)
                answer = connection.getresponse()
                return Reply(
                    answer.status, _read(answer.read()), _wait(answer.getheader("Retry-After"))
                )
            except (OSError, HTTPException) as error:
                connection.close()
                if fresh or attempt:
                    raise InterfaceError(
                        "sdk.unreachable", url=self.url, problem=str(error) or type(error).__name__
                    ) from error
        raise AssertionError("two attempts either answer or raise")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer. Raises InterfaceError ``sdk.unreachable``, ``sdk.refused``."""
        reply = self.send(method, path, body)
        if reply.status >= 400:
            raise InterfaceError("sdk.refused", status=reply.status, problem=_problem(reply.body))
        return reply.body

    def close(self) -> None:
        """Close the connections of every thread; a later request opens its own again."""
        for connection in self._every:
            connection.close()

    def _connection(self) -> HTTPConnection:
        found: HTTPConnection | None = getattr(self._mine, "connection", None)
        if found is None:
            found = self._kind(self._host, self._port, timeout=self._timeout)
            self._mine.connection = found
            self._every.append(found)
        return found


def _packed(body: object) -> tuple[bytes | None, Mapping[str, str]]:
    if body is None:
        return None, {}
    plain = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    if len(plain) < WORTH_SQUEEZING:
        return plain, {}
    return gzip.compress(plain, compresslevel=1, mtime=0), {"Content-Encoding": "gzip"}


def _read(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")[:500]


def _wait(after: str | None) -> float | None:
    """The seconds of ``Retry-After``; None where there are none."""
    try:
        return max(0.0, float(after or ""))
    except ValueError:
        return None


def _problem(body: Any) -> str:
    """What the service says went wrong."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        return str(error.get("message") or error.get("code") or error)
    return str(error)
