"""Users and sources whose events no longer count, and the versions that had learned from them.

Both are records that are only added to: what was excluded stays excluded, with its time and its
reason, and what is known of a version never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import select

from upwell.store import schema as sql
from upwell.store.database import insert_new, reading, writing
from upwell.store.journal import Journal
from upwell.tables import micros, moment

What: TypeAlias = Literal["user", "source"]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A user (a pseudonym) or a source that no longer counts, since when and why."""

    seq: int
    what: What
    name: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Taint:
    """How many rows of an exclusion a version's snapshot holds; None where it cannot be read."""

    version: str
    exclusion: int
    rows: int | None


class Exclusions:
    """The exclusions of one project, in the journal's database."""

    def __init__(self, journal: Journal) -> None:
        self._engine = journal.engine

    def add(self, what: What, name: str, at: datetime, reason: str) -> Exclusion:
        """Exclude a user (a pseudonym) or a source; once excluded, the first record stands."""
        row = {"what": what, "name": name, "at": micros(at), "reason": reason}
        with writing(self._engine) as connection:
            statement = insert_new(self._engine, sql.exclusions, list(row))
            connection.exec_driver_sql(statement, tuple(row.values()))
        return next(one for one in self.all() if (one.what, one.name) == (what, name))

    def all(self) -> list[Exclusion]:
        """Every exclusion, oldest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(sql.exclusions).order_by(sql.exclusions.c.seq))
            return [
                Exclusion(row.seq, row.what, row.name, moment(row.at), row.reason)
                for row in rows.fetchall()
            ]

    def names(self, what: What) -> list[str]:
        """The pseudonyms of excluded users, or the excluded sources."""
        return [one.name for one in self.all() if one.what == what]

    def mark(self, taints: Iterable[Taint]) -> None:
        """Keep what was found out about versions; what is known stays."""
        names = ("version", "exclusion", "rows")
        rows = [(one.version, one.exclusion, one.rows) for one in taints]
        if rows:
            with writing(self._engine) as connection:
                statement = insert_new(self._engine, sql.taints, names)
                connection.exec_driver_sql(statement, rows)

    def taints(self) -> list[Taint]:
        """All that was found out, 0 rows included."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(sql.taints)).fetchall()
            return [Taint(row.version, row.exclusion, row.rows) for row in rows]
