"""Events that are known already: what a retry that leaves its time or user open is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from upwell.store import schema as sql
from upwell.store.database import is_storable, reading
from upwell.store.journal import Journal
from upwell.tables import moment

_LOOKUP = 500


def firsts(journal: Journal, source: str, ids: Sequence[str]) -> dict[str, tuple[datetime, str]]:
    """Event id → ``at`` and ``user`` of those events of a source that the journal holds."""
    ids = [one for one in ids if is_storable(source + one)]
    events = sql.events.c
    found: dict[str, tuple[datetime, str]] = {}
    with reading(journal.engine) as connection:
        for start in range(0, len(ids), _LOOKUP):
            chosen = select(events.id, events.at, events.user).where(
                events.source == source, events.id.in_(ids[start : start + _LOOKUP])
            )
            found |= {row.id: (moment(row.at), row.user) for row in connection.execute(chosen)}
    return found
