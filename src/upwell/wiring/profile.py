"""A user as events tell, one after the other: what an answer knows of who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa

from upwell.records import Example
from upwell.stages.behaviour.online import Act, UserState
from upwell.stages.dataset.examples import About
from upwell.stages.dataset.online import Row
from upwell.tables import schema
from upwell.wiring.facts import Facts

_HISTORY = {"history": pa.string(), "history_sign": pa.int8(), "history_at": pa.int64()}
_ASKING = pa.schema([*schema(Example), *((name, pa.list_(it)) for name, it in _HISTORY.items())])


class Happened(NamedTuple):
    """An event at a moment (µs), accepted as ``seq``, and the rows of a history that it makes.

    A fact about the user may tell a ``group``. What names an answer that is not known yet is not
    ``is_settled``: its rows may be others later.
    """

    at: int
    seq: int
    kind: str
    value: float | None
    item: str | None
    rows: tuple[Row, ...] = ()
    group: str = ""
    is_settled: bool = True


@dataclass(frozen=True, slots=True)
class Profile:
    """A user as events up to ``seq`` tell; those in ``ahead`` have a time that has not come.

    ``history`` holds targets, signs and times (µs), the latest last. ``group`` is told by the
    fact at ``group_since`` (µs, seq).
    """

    state: UserState
    seq: int = 0
    history: tuple[tuple[str, int, int], ...] = ()
    group: str = ""
    group_since: tuple[int, int] = (0, 0)
    ahead: tuple[Happened, ...] = ()

    @property
    def size(self) -> int:
        """Rows that it holds, and one for itself."""
        return 1 + len(self.history) + len(self.ahead)

    @property
    def latest(self) -> int:
        """The moment (µs) of the latest act in it."""
        return self.state.latest or 0

    def is_before(self, moment: int) -> bool:
        """Whether all that it knows happened before a moment (µs)."""
        return max(self.latest, self.group_since[0]) < moment

    def is_late(self, happened: Happened) -> bool:
        """Whether it happened before an act that is in it already: then it is made anew."""
        return happened.kind != "user" and happened.at < self.latest

    def after(
        self,
        due: Sequence[Happened],
        ahead: Sequence[Happened],
        facts: Mapping[str, Facts],
        longest: int,
    ) -> Profile:
        """The profile when what is ``due`` has happened, and what is ``ahead`` will.

        ``facts`` tell of each item in ``due``; at most ``longest`` rows of history are kept.
        """
        ordered = sorted(due, key=lambda one: (one.at, one.seq))
        state = self.state.after_all(
            Act(one.kind, one.at, one.value, facts[one.item].category(one.at) if one.item else "")
            for one in ordered
        )
        rows = [(target, sign, one.at) for one in ordered for target, sign in one.rows]
        told = [(one.at, one.seq, one.group) for one in ordered if one.group]
        at, seq, group = max([(*self.group_since, self.group), *told])
        seen = max([self.seq, *(one.seq for one in (*due, *ahead))])
        kept = (*self.history, *rows)[-longest:]
        return Profile(state, seen, kept, group, (at, seq), tuple(ahead))


def asking_rows(
    profiles: Sequence[tuple[str, Profile]], task: str, about: About, now: datetime
) -> pa.Table:
    """A row for each user (a pseudonym, '' for nobody) that asks just now (see ``rows.asking``)."""
    size = len(profiles)
    histories = [list(zip(*profile.history, strict=True)) for _, profile in profiles]
    columns = {
        "id": ["upwell/now"] * size,
        "user": [user for user, _ in profiles],
        "task": [task] * size,
        "input": ["" if about == "item" else "-"] * size,
        "target": ["-" if about == "item" else ""] * size,
        "sign": [None] * size,
        "weight": [0.0] * size,
        "reliability": [1.0] * size,
        "propensity": [None] * size,
        "group": [profile.group for _, profile in profiles],
        "at": [now] * size,
        "sources": [["upwell/now"]] * size,
        "features": [profile.state.features(now) for _, profile in profiles],
        **{
            name: [found[place] if found else () for found in histories]
            for place, name in enumerate(_HISTORY)
        },
    }
    return pa.table(columns, _ASKING)
