"""Does the next answer know what its user just did?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

from bench.capturing.load import Stream


def first(port: int, stream: Stream) -> None:
    """The first request of a stream, so that what answers is loaded before any is timed."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", stream.path, stream.body()(0), headers)
        connection.getresponse().read()


def unaware(port: int, users: Sequence[str]) -> int:
    """How many users were recommended again, in their next answer, what they had just rated."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        return sum(_is_unaware(connection, user) for user in users)


def _is_unaware(connection: HTTPConnection, user: str) -> bool:
    best = _items(connection, user)[0]
    rated = {"id": str(uuid4()), "user": user, "kind": "rating", "item": best, "value": 5}
    _ask(connection, "/v1/events", rated)
    return best in _items(connection, user)


def _items(connection: HTTPConnection, user: str) -> list[str]:
    asked = _ask(connection, "/v1/predict/recommend", {"user": user, "k": 10})
    return [str(one["output"]) for one in asked["answers"]]


def _ask(connection: HTTPConnection, path: str, sent: Mapping[str, object]) -> Any:
    connection.request("POST", path, json.dumps(sent), {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())
