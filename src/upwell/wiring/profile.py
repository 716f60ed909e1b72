"""A user as events tell, one after the other: what an answer knows of who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from upwell.records import Event, Example
from upwell.stages.behaviour.online import UserState
from upwell.stages.dataset.examples import About
from upwell.stages.dataset.online import Row
from upwell.tables import micros, schema
from upwell.wiring.facts import Facts

_HISTORY = {"history": pa.string(), "history_sign": pa.int8(), "history_at": pa.int64()}
_ASKING = pa.schema([*schema(Example), *((name, pa.list_(it)) for name, it in _HISTORY.items())])


@dataclass(frozen=True, slots=True)
class Act:
    """An event, when it was accepted (``seq``), the rows of a history that it makes, if any.

    A fact about the user may tell a ``group``. What names an answer that is not known yet is not
    ``is_settled``: its rows may be others later.
    """

    event: Event
    seq: int
    rows: tuple[Row, ...] = ()
    group: str = ""
    is_settled: bool = True

    @property
    def place(self) -> tuple[datetime, int]:
        """Where it stands among the others of its user."""
        return self.event.at, self.seq


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
    ahead: tuple[Act, ...] = ()

    @property
    def size(self) -> int:
        """Rows that it holds, and one for itself."""
        return 1 + len(self.history) + len(self.ahead)

    @property
    def latest(self) -> int:
        """The moment (µs) of the latest act in it."""
        return self.state.latest or 0

    def is_late(self, act: Act) -> bool:
        """Whether an act happened before one that is in it already: then it is made anew."""
        return act.event.kind != "user" and micros(act.event.at) < self.latest

    def after(
        self, due: Sequence[Act], ahead: Sequence[Act], facts: Mapping[str, Facts], longest: int
    ) -> Profile:
        """The profile when the acts of ``due`` have happened, and those of ``ahead`` will.

        ``facts`` tell of each item in ``due``; at most ``longest`` rows of history are kept.
        """
        state, history = self.state, list(self.history)
        group, since = self.group, self.group_since
        for act in sorted(due, key=lambda act: act.place):
            event, at = act.event, micros(act.event.at)
            state = state.after(event, facts[event.item].category(at) if event.item else "")
            history += [(target, sign, at) for target, sign in act.rows]
            if act.group and (at, act.seq) > since:
                group, since = act.group, (at, act.seq)
        kept = tuple(history[-longest:])
        return Profile(state, self.seq, kept, group, since, tuple(ahead))

    def up_to(self, seq: int) -> Profile:
        """The same, as events up to ``seq`` tell."""
        return replace(self, seq=seq)


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
