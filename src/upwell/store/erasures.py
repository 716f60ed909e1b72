"""Users who were forgotten: what was removed, which versions had learned from them, until when.

An erasure is ``begun`` when the journal holds nothing of the user any more, ``erased`` when
nothing else does but versions that learned from them, and ``done`` when those are gone too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from upwell.store import schema as sql
from upwell.store.database import insert_new, reading, writing
from upwell.store.emptied import emptied
from upwell.store.journal import Journal
from upwell.store.user_keys import Shredded
from upwell.tables import canonical_json, micros, moment

State: TypeAlias = Literal["begun", "erased", "done"]
_BATCH = 10_000
_LOOKUP = 500
_TELLING = 8
"""An id of as many characters is found inside texts too."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One user's erasure: their pseudonym, what was removed by kind, and when each step ended."""

    id: str
    user: str
    asked: datetime
    counts: Mapping[str, int]
    erased: datetime | None = None
    done: datetime | None = None

    @property
    def state(self) -> State:
        """How far it is."""
        if self.done is not None:
            return "done"
        return "begun" if self.erased is None else "erased"


@dataclass(frozen=True, slots=True)
class Reached:
    """A version that learned from ``rows`` rows of the user; None where it could not be read."""

    erasure: str
    version: str
    rows: int | None


class Erasures:
    """The erasures of one project, in the journal's database."""

    def __init__(self, journal: Journal) -> None:
        self._engine = journal.engine
        self._tombstones = journal.tombstones

    def begin(self, id: str, user: str, pseudonym: str, at: datetime) -> Erasure | None:
        """Remove all that the journal holds of ``user`` and raise the tombstones, in one step.

        None where it holds nothing.
        """
        tables = (sql.events, sql.predictions, sql.consents)
        with writing(self._engine) as connection:
            self._bury(connection, user)
            counts = {
                table.name: connection.execute(delete(table).where(table.c.user == user)).rowcount
                for table in tables
            }
            counts["bad_rows"] = _remove_bad_rows(connection, user)
            if not any(counts.values()):
                return None
            row: dict[str, Any] = {
                "id": id,
                "user": pseudonym,
                "digest": self._tombstones.of_user(user),
            }
            row |= {"asked": micros(at), "counts": canonical_json(counts)}
            connection.execute(insert(sql.erasures).values(**row))
        return Erasure(id, pseudonym, at, counts)

    def empty(self) -> None:
        """Let the database's files hold no byte of what was removed."""
        emptied(self._engine)

    def tombstones(self, erasures: Sequence[Erasure]) -> list[Shredded]:
        """What is to be known of these users for ever."""
        rows = sql.erasures.c
        chosen = select(rows.user, rows.digest, rows.asked)
        with reading(self._engine) as connection:
            found = connection.execute(chosen.where(rows.id.in_([one.id for one in erasures])))
            return [Shredded(row.user, bytes(row.digest), row.asked) for row in found.fetchall()]

    def restore(self, shredded: Sequence[Shredded]) -> list[Erasure]:
        """Know users who were forgotten after a backup was made; returns those that were new."""
        ids, known = {one.id for one in self.all()}, {one.user for one in self.all()}
        free = (name for n in count() if (name := f"restored-{n}") not in ids)
        rows = [
            {"id": next(free), "user": one.user, "digest": one.digest,
             "asked": one.asked, "counts": "{}", "erased": one.asked}
            for one in shredded if one.user not in known
        ]  # fmt: skip
        if rows:
            with writing(self._engine) as connection:
                connection.execute(insert(sql.erasures), rows)
        return self._where(sql.erasures.c.id.in_([row["id"] for row in rows]))

    def all(self) -> list[Erasure]:
        """Every erasure, oldest first."""
        return self._where()

    def find(self, id: str) -> Erasure | None:
        """The erasure with this id; None where there is none."""
        return next(iter(self._where(sql.erasures.c.id == id)), None)

    def last_of(self, pseudonym: str) -> Erasure | None:
        """The latest erasure of a user; None where they never were forgotten."""
        return next(reversed(self._where(sql.erasures.c.user == pseudonym)), None)

    def begun(self) -> list[Erasure]:
        """Those of whom the journal alone is rid, oldest first."""
        return self._where(sql.erasures.c.erased.is_(None))

    def erased(self) -> list[Erasure]:
        """Those of whom at most versions know still, oldest first."""
        rows = sql.erasures.c
        return self._where(rows.erased.isnot(None), rows.done.is_(None))

    def mark_erased(self, erasure: Erasure, removed: Mapping[str, int], at: datetime) -> None:
        """Keep that nothing but versions holds the user, and how much more was removed."""
        counts = canonical_json({**erasure.counts, **removed})
        self._set(erasure, counts=counts, erased=micros(at))

    def mark_done(self, erasure: Erasure, at: datetime) -> None:
        """Keep that no version is left that learned from the user."""
        self._set(erasure, done=micros(at))

    def reach(self, found: Iterable[Reached]) -> None:
        """Keep what was found out about versions; what is known stays."""
        rows = [(one.erasure, one.version, one.rows) for one in found]
        if rows:
            names = ("erasure", "version", "rows")
            with writing(self._engine) as connection:
                statement = insert_new(self._engine, sql.erasure_taints, names)
                connection.exec_driver_sql(statement, rows)

    def reached(self) -> list[Reached]:
        """Every version that learned from somebody who was forgotten."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(sql.erasure_taints)).fetchall()
        return [Reached(row.erasure, row.version, row.rows) for row in rows]

    def _where(self, *conditions: ColumnElement[bool]) -> list[Erasure]:
        chosen = select(sql.erasures).where(*conditions).order_by(sql.erasures.c.seq)
        with reading(self._engine) as connection:
            return [_erasure(row) for row in connection.execute(chosen)]

    def _set(self, erasure: Erasure, **values: Any) -> None:
        here = sql.erasures.c.id == erasure.id
        with writing(self._engine) as connection:
            connection.execute(update(sql.erasures).where(here).values(**values))

    def _bury(self, connection: Connection, user: str) -> None:
        """Raise a tombstone for every event of the user."""
        events, names = sql.events.c, ("digest",)
        kept = connection.execute(select(events.source, events.id).where(events.user == user))
        raised = [(self._tombstones.of_event(*key),) for key in kept.fetchall()]
        if raised:
            connection.exec_driver_sql(insert_new(self._engine, sql.erased_events, names), raised)


def _remove_bad_rows(connection: Connection, user: str) -> int:
    """Remove the bad rows that name the user; returns how many."""
    rows, gone = sql.bad_rows.c, list[int]()
    for part in connection.execute(select(rows.seq, rows.raw)).partitions(_BATCH):
        gone += [seq for seq, raw in part if names_user(raw, user)]
    for start in range(0, len(gone), _LOOKUP):
        chosen = rows.seq.in_(gone[start : start + _LOOKUP])
        connection.execute(delete(sql.bad_rows).where(chosen))
    return len(gone)


def names_user(raw: str, user: str) -> bool:
    """Whether a bad row is of a user, or tells of one whose id is unlikely to be a plain word.

    >>> [names_user('{"user": "ann", "note": "%s"}' % note, "bob") for note in ("bob", "bobby")]
    [True, False]
    >>> [names_user(f'"user": "{user}", "at', "bob@x.example") for user in ("bob@x.example", "b")]
    [True, False]
    """
    escaped = json.dumps(user)[1:-1]
    if user not in raw and escaped not in raw:
        return False
    if len(user) >= _TELLING:
        return True
    try:
        return user in _texts(json.loads(raw))
    except (ValueError, RecursionError):
        return any(f'"{one}"' in raw for one in (user, escaped))


def _texts(value: object) -> Iterator[str]:
    """Every text and number in a JSON value, as text."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    else:
        yield str(value)


def _erasure(row: Any) -> Erasure:
    ends = (None if at is None else moment(at) for at in (row.erased, row.done))
    return Erasure(row.id, row.user, moment(row.asked), json.loads(row.counts), *ends)
