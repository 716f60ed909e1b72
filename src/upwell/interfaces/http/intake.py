"""Rows of many requests, checked and stored together (see ``gathered``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from upwell.interfaces.http.gathered import Gathered
from upwell.interfaces.http.given import Bad, Row, table_of
from upwell.records import BadRow, Receipt
from upwell.service import Upwell
from upwell.store.database import in_turn
from upwell.store.firsts import firsts

SOURCE = "app"
MOST = 2_000
"""Rows stored together, unless one request has more: bounds what each has to wait for."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the rows of one request; ``refused`` by their place in it."""

    accepted: int
    duplicates: int
    refused: dict[int, BadRow]


@dataclass(slots=True)
class Intake:
    """Stores rows for one event loop. At most ``waiting`` requests wait."""

    upwell: Upwell
    waiting: int
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _gathered: Gathered[Sequence[Row], Kept] = field(init=False)

    def __post_init__(self) -> None:
        self._gathered = Gathered(self._keep, self.waiting, MOST, len)

    @property
    def length(self) -> int:
        """Requests that wait."""
        return self._gathered.length

    @property
    def is_full(self) -> bool:
        """Whether rows would be refused now."""
        return self._gathered.is_full

    async def keep(self, rows: Sequence[Row]) -> Kept:
        """What became of the rows; whatever is counted as accepted is on disk.

        Rows without a time happened when they were first received. Raises RequestError
        ``http.busy`` at once when too many requests wait, StoreError when storing failed.
        """
        return await self._gathered.do(rows)

    def _keep(self, groups: list[Sequence[Row]]) -> list[Kept]:
        rows = [row for group in groups for row in group]
        now = self.clock()
        if any(_is_open_ended(row) for row in rows):
            # A retry, to whichever process, must find the first before it gets its own time.
            with in_turn(self.upwell.project.journal.engine):
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
