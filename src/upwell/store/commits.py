"""Group commit: many threads, one write, one wait for the disk.

Forcing a commit to disk costs milliseconds however little it holds, so a thousand callers that
each commit alone wait a thousand times. Here whoever finds the writer free leads: it takes every
job that waits and commits them together, while new jobs gather for the next leader. A caller
returns only when its own job is on disk; nothing waits on a timer, so a lone caller is not slower.
A job that cannot be written fails alone; a store that is out of reach fails all that wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from upwell.errors import StoreError

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Entry(Generic[Job, Result]):
    job: Job
    result: Result | None = None
    error: Exception | None = None

    @property
    def settled(self) -> bool:
        return self.result is not None or self.error is not None


class GroupCommit(Generic[Job, Result]):
    """Runs ``write`` over as many waiting jobs as there are; one result (not None) per job.

    >>> commit = GroupCommit(lambda jobs: [job * 2 for job in jobs])
    >>> commit.submit(21)
    42
    """

    def __init__(self, write: Callable[[list[Job]], list[Result]]) -> None:
        self._write = write
        self._leading = threading.Lock()
        self._waiting: deque[_Entry[Job, Result]] = deque()

    def submit(self, job: Job) -> Result:
        """The result of ``job`` once it is written. Raises what writing it raised."""
        entry: _Entry[Job, Result] = _Entry(job)
        self._waiting.append(entry)
        with self._leading:
            while not entry.settled:
                self._lead()
        if entry.result is None:
            raise entry.error or RuntimeError("a settled job has neither result nor error")
        return entry.result

    def _lead(self) -> None:
        """Write all that waits; what an interrupt leaves unsettled goes back to the queue."""
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            if not self._settle(group):
                # One caller's poison must not fail its neighbours.
                for entry in group:
                    self._settle([entry])
        finally:
            self._waiting.extendleft(entry for entry in reversed(group) if not entry.settled)

    def _settle(self, group: list[_Entry[Job, Result]]) -> bool:
        """Write a group; True when every job of it has its result or its error."""
        try:
            results = self._write([entry.job for entry in group])
        except Exception as error:
            # A store that is out of reach is so for each of them, and finding out takes seconds.
            if len(group) > 1 and not isinstance(error, StoreError):
                return False
            for entry in group:
                entry.error = error
            return True
        for entry, result in zip(group, results, strict=True):
            entry.result = result
        return True
