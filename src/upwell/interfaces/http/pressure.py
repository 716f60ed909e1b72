"""Back-pressure: so many requests and bytes at a time; who comes beyond that is told when to retry.

Nothing queues without bound: memory is what the limits say, and a refusal is given at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from upwell.interfaces.http.errors import RETRY_SECONDS, RequestError

Result = TypeVar("Result")


@dataclass(slots=True)
class Memory:
    """What the bodies of all requests hold together, at most ``limit`` bytes."""

    limit: int
    held: int = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One request's share; it is given back at the end."""
        mine = Share(self)
        try:
            yield mine
        finally:
            self.held -= mine.size


@dataclass(slots=True)
class Share:
    """What one request holds of the memory."""

    memory: Memory
    size: int = 0

    def add(self, size: int) -> None:
        """Hold more. Raises RequestError ``http.busy`` where that is too much for now."""
        if self.memory.held + size > self.memory.limit:
            raise busy()
        self.memory.held += size
        self.size += size


@dataclass(slots=True)
class Crew:
    """Threads that store or answer: ``threads`` work, and up to ``waiting`` requests wait."""

    threads: int
    waiting: int
    begun: int = 0
    is_stopping: bool = False
    _limiter: CapacityLimiter | None = field(default=None, init=False)

    async def run(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns, done in a thread. Raises RequestError ``http.busy`` at once."""
        if self.is_stopping or self.begun >= self.threads + self.waiting:
            raise busy()
        # A limiter belongs to the event loop that it is made in.
        self._limiter = self._limiter or CapacityLimiter(self.threads)
        self.begun += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self.begun -= 1


def busy() -> RequestError:
    """The refusal of what would have to wait too long."""
    return RequestError(
        "http.busy", 503, {"Retry-After": str(RETRY_SECONDS)}, seconds=RETRY_SECONDS
    )
