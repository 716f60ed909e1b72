"""Many requests, one piece of work: what comes while others are being done waits and goes as one.

A check over a table costs much the same for one row as for a thousand, and so do the wait for the
disk and a model's reading of a text. Nothing waits on a timer: a lone request is done at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from anyio import to_thread

from upwell.errors import StoreError
from upwell.interfaces.http.pressure import busy

Job = TypeVar("Job")
Result = TypeVar("Result")
THREADS = 2
"""One computes while the other waits for the disk."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Job, Result]):
    job: Job
    done: asyncio.Future[Result]


@dataclass(slots=True)
class Gathered(Generic[Job, Result]):
    """Does ``work`` over groups of jobs, one result a job, for one event loop.

    At most ``waiting`` jobs wait. Jobs of one group weigh ``most`` together, unless one alone
    weighs more, and are ``alike``.
    """

    work: Callable[[list[Job]], Sequence[Result]]
    waiting: int
    most: int
    weigh: Callable[[Job], int] = lambda _: 1
    alike: Callable[[Job], object] = lambda _: None
    threads: int = THREADS
    is_stopping: bool = False
    _queue: deque[_Entry[Job, Result]] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def length(self) -> int:
        """Jobs that wait."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether another job would be refused."""
        return self.is_stopping or len(self._queue) >= self.waiting

    async def do(self, job: Job) -> Result:
        """The result of a job; what doing it raised is raised.

        Raises RequestError ``http.busy`` at once when too many wait.
        """
        if self.is_full:
            raise busy()
        entry: _Entry[Job, Result] = _Entry(job, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        self._start()
        return await entry.done

    def _start(self) -> None:
        if self._queue and len(self._tasks) < self.threads:
            task = asyncio.create_task(self._run(self._next()))
            self._tasks.add(task)

            def ended(done: asyncio.Task[None]) -> None:
                self._tasks.discard(done)
                self._start()

            task.add_done_callback(ended)

    def _next(self) -> list[_Entry[Job, Result]]:
        """The oldest job, and those after it that go with it."""
        group = [self._queue.popleft()]
        kind, size = self.alike(group[0].job), self.weigh(group[0].job)
        while self._queue and self.alike(self._queue[0].job) == kind:
            size += self.weigh(self._queue[0].job)
            if size > self.most:
                break
            group.append(self._queue.popleft())
        return group

    async def _run(self, group: list[_Entry[Job, Result]]) -> None:
        """Do a group; where that fails for another reason than the store, each alone."""
        try:
            found = await to_thread.run_sync(self.work, [entry.job for entry in group])
        except Exception as error:
            if len(group) == 1 or isinstance(error, StoreError):
                for entry in group:
                    if not entry.done.done():
                        entry.done.set_exception(error)
                return
            for entry in group:
                await self._run([entry])
            return
        for entry, result in zip(group, found, strict=True):
            # A client that left has cancelled its future; what it asked for is done all the same.
            if not entry.done.done():
                entry.done.set_result(result)
