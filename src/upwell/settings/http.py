"""How the service listens, whom it lets in, and what it takes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upwell.settings.section import Count, Positive, Section


class HttpSettings(Section):
    """How `upwell serve` listens, whom it lets in, and how much it takes at most."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    keys: Literal["auto", "always"] = "auto"
    """`auto`: a key is needed unless a request comes from this machine (loopback) and is sent to
    it. `always`: set this behind a proxy, whose requests all come from this machine."""
    origins: tuple[str, ...] = ("*",)
    """Web sites whose pages may send with a publishable key, such as https://shop.example."""
    event_bytes: Count = 1_000_000
    batch_bytes: Count = 20_000_000
    """Of a request's body, unpacked."""
    batch_events: Count = 10_000
    depth: Count = 32
    """Levels of objects and lists in an event."""
    names: Count = 255
    """Names in one object."""
    ratio: Count = 100
    """How many times its size a body may be unpacked."""
    waiting: Count = 512
    """Requests that wait to be stored or answered; more are told to come again."""
    waiting_bytes: Count = 64_000_000
    """What the bodies of all requests may hold together."""
    connections: Count = 1000
    threads: Count = 4
    """Answers that are made at a time."""
    key_per_second: Positive = 20_000.0
    """Events and answers of one key; ten seconds' worth may come at once."""
    user_per_second: Positive = 100.0
    """The same of one user, where a request is about one user alone."""
    request_seconds: Positive = 30.0
    """Time that a client has to send its request."""
    drain_seconds: Positive = 30.0
    """Time that begun requests have to end when the service is stopped."""
