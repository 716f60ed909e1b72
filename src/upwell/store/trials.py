"""Trials: which version is tried beside the champion, on whom, since when, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from upwell.errors import StoreError
from upwell.records import Json
from upwell.store import schema as sql
from upwell.store.database import reading, writing
from upwell.store.journal import Journal
from upwell.tables import canonical_json, micros, moment


@dataclass(frozen=True, slots=True)
class Trial:
    """A challenger beside a champion; one runs per task at most.

    ``options`` are the settings that it was begun with. ``chances`` are the probabilities with
    which a unit meets the challenger, each from a moment on, oldest first. ``outcome`` is
    ``promote``, ``rollback`` or ``stop`` with its ``reason`` (a word key and numbers), once ended.
    """

    id: str
    task: str
    champion: str
    challenger: str
    mode: str
    started: datetime
    options: Mapping[str, Json]
    chances: tuple[tuple[datetime, float], ...]
    ended: datetime | None = None
    outcome: str | None = None
    reason: Mapping[str, Json] | None = None

    def chance(self, at: datetime) -> float:
        """The probability of the challenger that holds at a moment: the latest one begun."""
        begun = [chance for since, chance in self.chances if since <= at]
        return begun[-1] if begun else self.chances[0][1]


class Trials:
    """The trials of one project, in the journal's database."""

    def __init__(self, journal: Journal) -> None:
        self._engine = journal.engine

    def start(self, trial: Trial) -> Trial:
        """Begin a trial; the same id again changes nothing and gives the one that is kept.

        Raises StoreError ``trial.running`` while the task has another.
        """
        with writing(self._engine) as connection:
            known = _one(connection, sql.trials.c.id == trial.id)
            if known is not None:
                return known
            other = _running(connection, trial.task)
            if other is not None:
                raise StoreError("trial.running", trial=other.id, version=other.challenger)
            connection.execute(
                insert(sql.trials).values(
                    id=trial.id,
                    task=trial.task,
                    champion=trial.champion,
                    challenger=trial.challenger,
                    mode=trial.mode,
                    started=micros(trial.started),
                    options=canonical_json(trial.options),
                    chances=_told(trial.chances),
                )
            )
            return trial

    def running(self, task: str) -> Trial | None:
        """The trial that runs now, or None."""
        with reading(self._engine) as connection:
            return _running(connection, task)

    def all(self, task: str) -> list[Trial]:
        """Every trial of a task, oldest first."""
        chosen = select(sql.trials).where(sql.trials.c.task == task)
        with reading(self._engine) as connection:
            rows = connection.execute(chosen.order_by(sql.trials.c.started)).fetchall()
        return [_trial(row) for row in rows]

    def aim(self, trial: str, chance: float, since: datetime) -> None:
        """Let units that begin at ``since`` or later meet the challenger with ``chance``.

        A moment that has a chance already keeps it, so what was promised of a day stays true.
        """
        with writing(self._engine) as connection:
            known = _one(connection, sql.trials.c.id == trial)
            if known is None or known.ended is not None or known.chances[-1][0] >= since:
                return
            chances = _told((*known.chances, (since, chance)))
            this = sql.trials.c.id == trial
            connection.execute(update(sql.trials).where(this).values(chances=chances))

    def end(self, trial: str, at: datetime, outcome: str, reason: Mapping[str, Json]) -> bool:
        """End a trial; False, and nothing changes, where it has ended already."""
        told = {"ended": micros(at), "outcome": outcome, "reason": canonical_json(reason)}
        running = (sql.trials.c.id == trial) & sql.trials.c.ended.is_(None)
        with writing(self._engine) as connection:
            return connection.execute(update(sql.trials).where(running).values(**told)).rowcount > 0


# Made once: every answer asks this.
_RUNS = select(sql.trials).where(sql.trials.c.task == bindparam("of"), sql.trials.c.ended.is_(None))


def _running(connection: Connection, task: str) -> Trial | None:
    row = connection.execute(_RUNS, {"of": task}).first()
    return None if row is None else _trial(row)


def _one(connection: Connection, where: Any) -> Trial | None:
    row = connection.execute(select(sql.trials).where(where)).first()
    return None if row is None else _trial(row)


def _told(chances: tuple[tuple[datetime, float], ...]) -> str:
    return canonical_json([[micros(since), chance] for since, chance in chances])


def _trial(row: Any) -> Trial:
    return Trial(
        row.id,
        row.task,
        row.champion,
        row.challenger,
        row.mode,
        moment(row.started),
        json.loads(row.options),
        tuple((moment(since), chance) for since, chance in json.loads(row.chances)),
        None if row.ended is None else moment(row.ended),
        row.outcome,
        None if row.reason is None else json.loads(row.reason),
    )
