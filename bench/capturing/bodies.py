"""Requests by number: the same number is the same request, so that a retry sends what it sent."""

from __future__ import annotations

import json
from collections.abc import Callable

Body = Callable[[int], bytes]
"""The body of request ``number``."""

AT = "2026-05-01T10:00:00Z"
USERS, ITEMS = 100_000, 5_000
SIZES = (1, 10, 25, 50)
"""Events of successive requests where sizes are mixed: one alone, and batches up to 50."""


def size(number: int, largest: int) -> int:
    """Events in request ``number``: of mixed sizes where ``largest`` is 0."""
    return largest or SIZES[number % len(SIZES)]


def events(name: str, largest: int) -> Body:
    """Batches of clicks by many users, about 130 bytes each, their ids told by number and place."""

    def body(number: int) -> bytes:
        rows = [
            f'{{"id":"{name}-{number}-{place}","kind":"click","at":"{AT}",'
            f'"user":"u{(number * 7919 + place * 104729) % USERS}",'
            f'"item":"i{(number * 31 + place * 17) % ITEMS}",'
            f'"payload":{{"place":{place}}}}}'
            for place in range(size(number, largest))
        ]
        return f"[{','.join(rows)}]".encode()

    return body


def feedback(name: str) -> Body:
    """Thumbs for an answer, as TensorZero's clients send them: without a user or a time."""

    def body(number: int) -> bytes:
        return (
            f'{{"inference_id":"p-{number}","metric_name":"thumbs","value":true,'
            f'"id":"{name}-{number}"}}'
        ).encode()

    return body


def questions(users: list[str], inputs: list[str], k: int) -> Body:
    """Each user in turn asks, each about another input where there are any."""

    def body(number: int) -> bytes:
        asked: dict[str, object] = {"user": users[number % len(users)], "k": k}
        if inputs:
            # No text comes twice, for a text that was read already costs nothing.
            asked["input"] = f"{inputs[number % len(inputs)]} {number}"
        return json.dumps(asked).encode()

    return body
