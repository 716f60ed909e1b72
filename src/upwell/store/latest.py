"""What facts tell of one user or one item: the latest holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select

from upwell.store import schema as sql
from upwell.store.database import reading
from upwell.store.journal import Journal
from upwell.tables import moment


@dataclass(frozen=True, slots=True)
class Fact:
    """What a fact tells, and since when; one that nobody told has no time."""

    payload: Mapping[str, Any]
    at: datetime | None = None


def latest_fact(journal: Journal, kind: Literal["user", "item"], id: str) -> Fact | None:
    """The latest fact about a user or an item.

    None about an item without facts and about a user who never did anything; of a user who did
    and of whom no fact tells, it tells nothing.
    """
    events = sql.events.c
    of = events.user == id if kind == "user" else events.item == id
    facts = select(events.payload, events.at).where(of, events.kind == kind)
    newest = facts.order_by(events.at.desc(), events.seq.desc()).limit(1)
    with reading(journal.engine) as connection:
        found = connection.execute(newest).one_or_none()
        if found is None and kind == "user":
            seen = connection.execute(select(events.seq).where(of).limit(1)).scalar()
            return None if seen is None else Fact({})
    return None if found is None else Fact(json.loads(found.payload), moment(found.at))
