"""All that the journal holds of one user, as it came in."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy import Table, select

from upwell.records import BadRow, Consent, Event, Prediction
from upwell.store import schema as sql
from upwell.store.database import reading, to_arrow
from upwell.store.erasures import names_user
from upwell.store.journal import Journal
from upwell.tables import schema

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Held:
    """Tables with the columns of their nouns, in the order in which the rows came in."""

    events: pa.Table
    predictions: pa.Table
    consents: pa.Table
    bad_rows: pa.Table

    def __len__(self) -> int:
        """All rows."""
        return sum(map(len, (self.events, self.predictions, self.consents, self.bad_rows)))


def held(journal: Journal, user: str) -> Held:
    """The rows of a user; bad rows are those that name them."""
    return Held(
        _of(journal, sql.events, schema(Event), user),
        _of(journal, sql.predictions, schema(Prediction), user),
        _of(journal, sql.consents, schema(Consent), user),
        _bad_rows(journal, user),
    )


def _of(journal: Journal, table: Table, shape: pa.Schema, user: str) -> pa.Table:
    chosen = select(*(table.c[name] for name in shape.names)).where(table.c.user == user)
    with reading(journal.engine) as connection:
        return to_arrow(connection.execute(chosen.order_by(table.c.seq)).fetchall(), shape)


def _bad_rows(journal: Journal, user: str) -> pa.Table:
    shape = schema(BadRow)
    place = shape.names.index("raw")
    chosen = select(*(sql.bad_rows.c[name] for name in shape.names)).order_by(sql.bad_rows.c.seq)
    with reading(journal.engine) as connection:
        parts = connection.execute(chosen).partitions(_BATCH)
        found = [row for part in parts for row in part if names_user(row[place], user)]
    return to_arrow(found, shape)
