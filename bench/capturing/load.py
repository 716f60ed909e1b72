"""Sends requests when they are due, whatever became of those before, and times them from then.

A process of its own, of one thread that does little else: what it costs is not the service's. A
request that is due while every connection is busy waits, and that counts. With ``retry`` it does
as the client for products does: 429, 503 and 507 are sent again, the same, after ``Retry-After``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any, cast

from bench.capturing import bodies

BUSY = (429, 503, 507)
SHORTEST, LONGEST = 0.5, 30.0


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests of one kind: ``rate`` a second for ``seconds``; 0 is as fast as answers come.

    ``kind`` is ``events``, ``feedback`` or ``ask``; ``size`` is that of a request (0: mixed).
    """

    name: str
    path: str
    kind: str
    rate: float
    seconds: float
    connections: int
    size: int = 0
    retry: bool = False
    users: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    k: int = 10
    patience: float = 60.0
    """Seconds after the last request was due in which everything must have been taken."""

    @property
    def count(self) -> int:
        """Requests that are due."""
        return round(self.rate * self.seconds)

    def body(self) -> bodies.Body:
        """What makes its requests."""
        if self.kind == "events":
            return bodies.events(self.name, self.size)
        if self.kind == "feedback":
            return bodies.feedback(self.name)
        return bodies.questions(list(self.users), list(self.inputs), self.k)


@dataclass(slots=True)
class Sent:
    """What became of a stream: answers by status, seconds from due to answered of 2xx ones.

    ``done`` requests were taken in the end, in ``seconds``; ``broken`` lost their connection.
    """

    name: str
    done: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    broken: int = 0
    times: list[float] = field(default_factory=list)


class Lane(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._read = b""
        self.busy: tuple[int, float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: tuple[int, float], content: bytes) -> None:
        """Send a request: its number and when it was due."""
        self.busy = request
        if self._transport is not None:
            self._transport.write(content)

    def data_received(self, data: bytes) -> None:
        """A whole answer frees the lane."""
        self._read += data
        head, mark, rest = self._read.partition(b"\r\n\r\n")
        if not mark:
            return
        lines = head.lower().split(b"\r\n")
        named = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        if len(rest) < int(named.get(b"content-length", b"0")):
            return
        self._read = b""
        request, self.busy = self.busy, None
        if request is not None:
            self._sender.answered(self, request, int(lines[0][9:12]), named.get(b"retry-after"))

    def connection_lost(self, exc: Exception | None) -> None:
        """What was under way goes on another lane."""
        request, self.busy = self.busy, None
        self._sender.lost(self, request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Sender:
    """Sends one stream to a service on this machine."""

    def __init__(self, stream: Stream, port: int) -> None:
        self._stream, self._port, self._body = stream, port, stream.body()
        self._loop = asyncio.get_running_loop()
        self._due: deque[tuple[int, float]] = deque()
        self._free: list[Lane] = []
        self._next = self._again = 0
        self._is_over = False
        self._connecting: set[asyncio.Task[None]] = set()
        self.sent = Sent(stream.name)

    async def run(self) -> Sent:
        """All of it, until every request that must be taken is."""
        began = self._loop.time()
        for _ in range(self._stream.connections):
            await self._connect()
        if self._stream.rate:
            await self._pace(began)
        else:
            while self._loop.time() - began < self._stream.seconds:
                self._fill()
                await asyncio.sleep(0.01)
        ends = self._loop.time() + self._stream.patience
        while self._open() and self._loop.time() < ends:
            await asyncio.sleep(0.01)
        self._is_over = True
        self.sent.seconds = self._loop.time() - began
        for lane in self._free:
            lane.close()
        return self.sent

    def answered(
        self, lane: Lane, request: tuple[int, float], status: int, after: bytes | None
    ) -> None:
        """A request has its answer; one that was refused for now is due again later."""
        self.sent.statuses[status] += 1
        self._free.append(lane)
        if status < 300:
            self.sent.done += 1
            self.sent.times.append(self._loop.time() - request[1])
        elif status in BUSY:
            self.sent.without_retry_after += after is None
            if self._stream.retry:
                self._later(request, float(after or SHORTEST))
        self._pump()

    def lost(self, lane: Lane, request: tuple[int, float] | None) -> None:
        """A connection that ended is replaced, and its request sent again."""
        if self._is_over:
            return
        if lane in self._free:
            self._free.remove(lane)
        if request is not None:
            self.sent.broken += 1
            self._later(request, SHORTEST)
        self._connecting.add(task := self._loop.create_task(self._connect()))
        task.add_done_callback(self._connecting.discard)

    async def _pace(self, began: float) -> None:
        for number in range(self._stream.count):
            due = began + number / self._stream.rate
            wait = due - self._loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self._due.append((number, due))
            self._pump()

    def _fill(self) -> None:
        while len(self._due) < self._stream.connections:
            self._due.append((self._next, self._loop.time()))
            self._next += 1
            self._pump()

    def _pump(self) -> None:
        while self._due and self._free:
            number, due = self._due.popleft()
            content = self._body(number)
            head = (
                f"POST {self._stream.path} HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            self._free.pop().send((number, due), head.encode() + content)

    def _later(self, request: tuple[int, float], seconds: float) -> None:
        self._again += 1
        # Spread, as the clients of a crowd are, so that they do not all come back at once.
        spread = 1.0 + (request[0] * 0.618034) % 1.0
        self._loop.call_later(min(seconds * spread, LONGEST), self._due_again, request)

    def _due_again(self, request: tuple[int, float]) -> None:
        self._again -= 1
        self._due.append(request)
        self._pump()

    def _open(self) -> int:
        """Requests that wait, are under way, or are due again."""
        flying = self._stream.connections - len(self._free)
        return len(self._due) + self._again + flying

    async def _connect(self) -> None:
        _, lane = await self._loop.create_connection(lambda: Lane(self), "127.0.0.1", self._port)
        self._free.append(lane)
        self._pump()


async def _all(port: int, streams: list[Stream]) -> list[Sent]:
    return list(await asyncio.gather(*(Sender(stream, port).run() for stream in streams)))


def main() -> None:
    """Read a plan from standard input, send it, and print what became of it."""
    plan: dict[str, Any] = json.load(sys.stdin)
    streams = [Stream(**one) for one in plan["streams"]]
    found = asyncio.run(_all(plan["port"], streams))
    told = [{entry.name: getattr(one, entry.name) for entry in fields(one)} for one in found]
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
