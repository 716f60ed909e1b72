"""What the journal holds of one user or one item, found by index: what a request can wait for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import bindparam, func, or_, select

from upwell.records import Consent, Event, Prediction
from upwell.store import schema as sql
from upwell.store.database import reading, to_arrow
from upwell.store.journal import SEQ, Journal
from upwell.tables import moment, schema

MANY = 1000
"""Facts that are told one by one; more are only said to be many."""
_EVENT, _CONSENT, _PREDICTION = schema(Event).append(SEQ), schema(Consent), schema(Prediction)
_EVENTS, _CONSENTS = sql.events.c, sql.consents.c
_LOOKUP, _TOGETHER = 500, 50

# Made once: putting a statement together costs as much as running it.
_EVENTS_OF = select(*(_EVENTS[name] for name in _EVENT.names)).order_by(_EVENTS.seq)
_ALLOWED = (
    select(*(_CONSENTS[name] for name in _CONSENT.names))
    .where(_CONSENTS.user.in_(bindparam("users", expanding=True)))
    .order_by(_CONSENTS.seq)
)
_FACTS = (
    select(*(_EVENTS[name] for name in _EVENT.names))
    .where(sql.IS_FACT, _EVENTS.item.in_(bindparam("items", expanding=True)))
    .order_by(_EVENTS.seq)
)
_NEW_FACTS = (
    select(_EVENTS.item, _EVENTS.at)
    .where(sql.IS_FACT, _EVENTS.seq > bindparam("after"))
    .order_by(_EVENTS.seq)
    .limit(MANY + 1)
)
_IS_EXPIRY = sql.facts.c.name.startswith("expired ")
_MARKS = select(
    select(func.max(_EVENTS.seq)).where(sql.IS_FACT).scalar_subquery(),
    select(func.max(sql.exclusions.c.seq)).scalar_subquery(),
    select(func.max(sql.erasures.c.seq)).scalar_subquery(),
    select(func.max(sql.facts.c.name)).where(_IS_EXPIRY).scalar_subquery(),
)
_NAMED = select(*(sql.predictions.c[name] for name in _PREDICTION.names)).where(
    sql.predictions.c.id.in_(bindparam("ids", expanding=True))
)
_SERVES = select(sql.aliases.c.version).where(
    sql.aliases.c.task == bindparam("of"), sql.aliases.c.until.is_(None)
)


@dataclass(frozen=True, slots=True)
class Marks:
    """How far things stand that many users depend on: facts about items, who was left out."""

    facts: int
    left_out: tuple[int, int, str]
    """The latest exclusion and erasure, and when rows last went because their time was over."""


@dataclass(frozen=True, slots=True)
class Newer:
    """Items that facts tell something new of, which holds from ``earliest`` on."""

    items: frozenset[str]
    earliest: datetime


def marks(journal: Journal) -> Marks:
    """The marks now; any change of what they stand for changes them."""
    with reading(journal.engine) as connection:
        facts, excluded, erased, expired = connection.execute(_MARKS).one()
    return Marks(facts or 0, (excluded or 0, erased or 0, expired or ""))


def champion_of(journal: Journal, task: str) -> str | None:
    """The id of the version that serves now; None before the first promotion."""
    with reading(journal.engine) as connection:
        return connection.execute(_SERVES, {"of": task}).scalar()


def events_of(journal: Journal, after: Mapping[str, int]) -> pa.Table:
    """Of each user the events with a greater ``seq`` than theirs, in order: Event and ``seq``."""
    found, users = [_EVENT.empty_table()], list(after.items())
    with reading(journal.engine) as connection:
        for start in range(0, len(users), _TOGETHER):
            chosen = or_(
                *(
                    (_EVENTS.user == user) & (_EVENTS.seq > seq)
                    for user, seq in users[start : start + _TOGETHER]
                )
            )
            rows = connection.execute(_EVENTS_OF.where(chosen)).fetchall()
            if rows:
                found.append(to_arrow(rows, _EVENT))
    return pa.concat_tables(found)


def consents_of(journal: Journal, users: Sequence[str]) -> dict[str, list[Consent]]:
    """Every consent of each user, in the order in which they were recorded."""
    found: dict[str, list[Consent]] = {user: [] for user in users}
    with reading(journal.engine) as connection:
        for start in range(0, len(users), _LOOKUP):
            chosen = {"users": list(users[start : start + _LOOKUP])}
            for named, user, purposes, since, until in connection.execute(_ALLOWED, chosen):
                allowed, ends = tuple(json.loads(purposes)), until and moment(until)
                found[user].append(Consent(named, user, allowed, moment(since), ends))
    return found


def facts_of(journal: Journal, items: Sequence[str]) -> pa.Table:
    """The facts about items, by item in the order of their arrival: Event columns and ``seq``."""
    found = [_EVENT.empty_table()]
    with reading(journal.engine) as connection:
        for start in range(0, len(items), _LOOKUP):
            chosen = {"items": list(items[start : start + _LOOKUP])}
            found.append(to_arrow(connection.execute(_FACTS, chosen).fetchall(), _EVENT))
    return pa.concat_tables(found)


def facts_after(journal: Journal, seq: int) -> Newer | None:
    """Which facts about items are newer; None where they are too many to tell."""
    with reading(journal.engine) as connection:
        rows = connection.execute(_NEW_FACTS, {"after": seq}).fetchall()
    if not rows or len(rows) > MANY:
        return None
    return Newer(frozenset(item for item, _ in rows if item), moment(min(at for _, at in rows)))


def predictions_named(journal: Journal, ids: Sequence[str]) -> pa.Table:
    """The predictions with these ids, in any order."""
    found = [_PREDICTION.empty_table()]
    with reading(journal.engine) as connection:
        for start in range(0, len(ids), _LOOKUP):
            chosen = {"ids": list(ids[start : start + _LOOKUP])}
            found.append(to_arrow(connection.execute(_NAMED, chosen).fetchall(), _PREDICTION))
    return pa.concat_tables(found)
