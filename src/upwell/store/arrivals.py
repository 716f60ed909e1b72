"""What arrived between two moments of the loop, counted where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, distinct, func, not_, select, true

from upwell.store import schema as sql
from upwell.store.database import reading
from upwell.store.journal import Journal
from upwell.tables import micros

FACTS = ("item", "user")
LABEL = "label"


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen at a moment: events up to ``seq`` that happened before ``as_of``."""

    seq: int | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """New events: ``feedback`` by kind, how many ``users`` gave it, and how many ``labels``."""

    feedback: Mapping[str, int]
    users: int
    labels: int

    @property
    def total(self) -> int:
        """Events that can teach: feedback and labels; facts about items and users are neither."""
        return sum(self.feedback.values()) + self.labels


NOTHING = Sight(seq=0)


def arrived(journal: Journal, before: Sight, now: Sight, label_sources: Sequence[str]) -> Arrived:
    """What is in sight ``now`` and was not ``before``."""
    events = sql.events.c
    new = and_(_seen(now), not_(_seen(before)), events.kind.not_in(FACTS))
    is_label = (events.kind == LABEL) | events.source.in_(label_sources)
    kinds = select(events.kind, is_label.label("labels"), func.count()).where(new)
    users = select(func.count(distinct(events.user))).where(new, not_(is_label))
    with reading(journal.engine) as connection:
        # By its name: said again, its parameters would make it another expression to PostgreSQL.
        rows = connection.execute(kinds.group_by(events.kind, "labels")).fetchall()
        told = connection.execute(users).scalar_one()
    feedback = {kind: int(count) for kind, labels, count in sorted(rows) if not labels}
    return Arrived(feedback, int(told), sum(int(count) for _, labels, count in rows if labels))


def _seen(sight: Sight) -> ColumnElement[bool]:
    events = sql.events.c
    seen: ColumnElement[bool] = true()
    if sight.seq is not None:
        seen = and_(seen, events.seq <= sight.seq)
    if sight.as_of is not None:
        seen = and_(seen, events.at < micros(sight.as_of))
    return seen
