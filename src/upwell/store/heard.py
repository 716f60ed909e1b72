"""Answers that were given elsewhere and are told of afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from upwell.records import Prediction
from upwell.store import schema as sql
from upwell.store.database import cells, insert_new, writing
from upwell.store.journal import Journal
from upwell.tables import micros, schema, to_table


def keep_heard(journal: Journal, answers: Sequence[Prediction]) -> set[int]:
    """Keep answers; returns the places of those that were not kept. The others are on disk.

    An id is kept once, and the first holds. What was told to a user who was forgotten since is a
    late retry, and not kept.
    """
    names = schema(Prediction).names
    rows = list(zip(*cells(to_table(Prediction, answers).select(names)), strict=True))
    sent = [("", one.id, one.user, micros(one.at)) for one in answers]
    with writing(journal.engine) as connection:
        late = journal.tombstones.refused(connection, sent)
        kept = [row for place, row in enumerate(rows) if place not in late]
        if kept:
            statement = insert_new(connection.engine, sql.predictions, names)
            connection.exec_driver_sql(statement, kept)
    return late
