"""Many requests, one commit: rows that arrive together are checked and stored together.

A check over a table costs much the same for one row as for a thousand, and so does the wait for
the disk. So requests that come while others are being stored wait a moment and go as one. Nothing
waits on a timer: a lone request is stored at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from anyio import to_thread

from upwell.errors import StoreError
from upwell.interfaces.http.given import Bad, Row, table_of
from upwell.interfaces.http.pressure import busy
from upwell.records import BadRow, Receipt
from upwell.service import Upwell
from upwell.store.firsts import firsts

SOURCE = "app"
THREADS = 2
"""One checks rows while the other waits for the disk."""
MOST = 2_000
"""Rows stored together, unless one request has more: bounds what each has to wait for."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the rows of one request; ``refused`` by their place in it."""

    accepted: int
    duplicates: int
    refused: dict[int, BadRow]


@dataclass(frozen=True, slots=True)
class _Entry:
    rows: Sequence[Row]
    kept: asyncio.Future[Kept]


@dataclass(slots=True)
class Intake:
    """Stores rows for one event loop. At most ``waiting`` requests wait."""

    upwell: Upwell
    waiting: int
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    is_stopping: bool = False
    _queue: deque[_Entry] = field(default_factory=deque)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _open_ended: Lock = field(default_factory=Lock)

    @property
    def length(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    async def keep(self, rows: Sequence[Row]) -> Kept:
        """What became of the rows; whatever is counted as accepted is on disk.

        Rows without a time happened when they were first received. Raises RequestError
        ``http.busy`` at once when too many requests wait, StoreError when storing failed.
        """
        if self.is_stopping or len(self._queue) >= self.waiting:
            raise busy()
        entry = _Entry(rows, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        self._start()
        return await entry.kept

    def _start(self) -> None:
        if self._queue and len(self._tasks) < THREADS:
            task = asyncio.create_task(self._run(self._next()))
            self._tasks.add(task)

            def ended(done: asyncio.Task[None]) -> None:
                self._tasks.discard(done)
                self._start()

            task.add_done_callback(ended)

    def _next(self) -> list[_Entry]:
        group = [self._queue.popleft()]
        size = len(group[0].rows)
        while self._queue and size + len(self._queue[0].rows) <= MOST:
            group.append(self._queue.popleft())
            size += len(group[-1].rows)
        return group

    async def _run(self, group: list[_Entry]) -> None:
        """Store a group; where that fails for another reason than the disk, each alone."""
        try:
            found = await to_thread.run_sync(self._keep, [entry.rows for entry in group])
        except Exception as error:
            if len(group) == 1 or isinstance(error, StoreError):
                for entry in group:
                    if not entry.kept.done():
                        entry.kept.set_exception(error)
                return
            for entry in group:
                await self._run([entry])
            return
        for entry, kept in zip(group, found, strict=True):
            # A client that left has cancelled its future; its rows are stored all the same.
            if not entry.kept.done():
                entry.kept.set_result(kept)

    def _keep(self, groups: list[Sequence[Row]]) -> list[Kept]:
        rows = [row for group in groups for row in group]
        now = self.clock()
        if any(_is_open_ended(row) for row in rows):
            # A retry must find the first before it is given a time of its own.
            with self._open_ended:
                rows = _ended(self.upwell, rows, now)
                receipt = self.upwell.capture(table_of(rows), source=SOURCE, now=now)
        else:
            receipt = self.upwell.capture(table_of(rows), source=SOURCE, now=now)
        return _apart(receipt, [len(group) for group in groups])


def _apart(receipt: Receipt, sizes: list[int]) -> list[Kept]:
    """What became of the rows of each request."""
    refused = dict(zip(receipt.refused_at, receipt.refused, strict=True))
    again = set(receipt.duplicates_at)
    found, start = [], 0
    for size in sizes:
        mine = range(start, start + size)
        bad = {place - start: refused[place] for place in mine if place in refused}
        twice = sum(place in again for place in mine)
        found.append(Kept(size - len(bad) - twice, twice, bad))
        start += size
    return found


def _is_open_ended(row: Row) -> bool:
    return not isinstance(row, Bad) and (row.get("at") is None or callable(row.get("user")))


def _ended(upwell: Upwell, rows: list[Row], now: datetime) -> list[Row]:
    """Rows with the time, and the user, that were left open: those of the first with their id."""
    wanted: dict[str, set[str]] = {}
    for row in rows:
        if (
            not isinstance(row, Bad)
            and _is_open_ended(row)
            and isinstance(row.get("id"), str | int)
        ):
            wanted.setdefault(str(row.get("source") or SOURCE), set()).add(str(row["id"]))
    journal = upwell.project.journal
    known = {
        (source, named): first
        for source, ids in wanted.items()
        for named, first in firsts(journal, source, sorted(ids)).items()
    }
    found: list[Row] = []
    for row in rows:
        if isinstance(row, Bad) or not _is_open_ended(row):
            found.append(row)
            continue
        first = known.get((str(row.get("source") or SOURCE), str(row.get("id"))))
        at = row.get("at") or (first[0] if first else now)
        user = row.get("user")
        if callable(user):
            user = first[1] if first else user()
        found.append({**row, "at": at, "user": user})
    return found
