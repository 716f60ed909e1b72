"""What facts tell of one user or one item: the latest holds."""

from __future__ import annotations

import json
from typing import Any, Literal

from sqlalchemy import select

from upwell.store import schema as sql
from upwell.store.database import reading
from upwell.store.journal import Journal


def latest_fact(journal: Journal, kind: Literal["user", "item"], id: str) -> dict[str, Any] | None:
    """The payload of the latest fact about a user or an item.

    None about an item without facts and about a user who never did anything; a user who did and
    of whom no fact tells has an empty one.
    """
    events = sql.events.c
    of = events.user == id if kind == "user" else events.item == id
    facts = select(events.payload).where(of, events.kind == kind)
    newest = facts.order_by(events.at.desc(), events.seq.desc()).limit(1)
    with reading(journal.engine) as connection:
        found = connection.execute(newest).scalar()
        if found is None and kind == "user":
            found = connection.execute(select(events.seq).where(of).limit(1)).scalar()
            return None if found is None else {}
    return None if found is None else dict(json.loads(found))
