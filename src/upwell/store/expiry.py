"""Rows of users that are past their time leave the journal."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete

from upwell.store import schema as sql
from upwell.store.database import writing
from upwell.store.emptied import emptied
from upwell.store.journal import Journal
from upwell.tables import micros


def expire_rows(journal: Journal, cutoff: datetime) -> dict[str, int]:
    """Remove users' events and predictions, and bad rows, from before ``cutoff``: how many each.

    Consents stay: they tell what was allowed when. So do facts and labels that are nobody's.
    """
    removed, until = {}, micros(cutoff)
    with writing(journal.engine) as connection:
        for table in (sql.events, sql.predictions, sql.bad_rows):
            old = delete(table).where(table.c.at < until)
            if "user" in table.c:
                old = old.where(table.c.user != "")
            removed[table.name] = connection.execute(old).rowcount
    if any(removed.values()):
        emptied(journal.engine)
    return removed
