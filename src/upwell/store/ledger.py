"""The ledger: turns and their stages, versions, reports, decisions, and what served when.

It lives in the journal's database. Everything is recorded once: recording the same again changes
nothing, so a turn that was killed can be run again from where it stood.

Its time never runs backwards. Where a machine's clock was set back, a turn begins at the moment
of the turn before it, and a decision falls a microsecond after the last one: what came later in
truth stays later here, and no version serves for less than no time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pyarrow as pa
from sqlalchemy import Connection, Select, Table, case, func, insert, select, update

from upwell.errors import StoreError
from upwell.records import Decision, Json, ModelVersion, Report
from upwell.store import schema as sql
from upwell.store.database import cells, insert_new, reading, to_arrow, writing
from upwell.store.journal import Journal
from upwell.tables import TIME, Record, canonical_json, micros, moment, schema, to_records, to_table

R = TypeVar("R", bound=Record)
_HISTORY = pa.schema(
    [
        pa.field("version", pa.string(), nullable=False),
        pa.field("since", TIME, nullable=False),
        pa.field("until", TIME),
        pa.field("decision", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the loop: what it may see (``watermark``, ``as_of``) and when it ended."""

    id: str
    task: str
    at: datetime
    watermark: int
    as_of: datetime | None
    options: Mapping[str, Json]
    closed: datetime | None = None


class Ledger:
    """Records of what the loop did; one champion and one unfinished turn per task at most."""

    def __init__(self, journal: Journal) -> None:
        self._engine = journal.engine

    def open_turn(
        self,
        id: str,
        task: str,
        at: datetime,
        watermark: int,
        as_of: datetime | None,
        options: Mapping[str, Json],
    ) -> Turn:
        """Begin a turn, not before the last one. Raises StoreError ``turn.unfinished``."""
        with writing(self._engine) as connection:
            unfinished = _unfinished(connection, task)
            if unfinished is not None:
                raise StoreError("turn.unfinished", task=task, turn=unfinished.id)
            last = _last(connection, sql.turns, task)
            at = at if last is None else max(at, last)
            turn = Turn(id, task, at, watermark, as_of, options)
            known_until = None if as_of is None else micros(as_of)
            connection.execute(
                insert(sql.turns).values(
                    id=id,
                    task=task,
                    at=micros(at),
                    watermark=watermark,
                    as_of=known_until,
                    options=canonical_json(options),
                )
            )
            return turn

    def unfinished_turn(self, task: str) -> Turn | None:
        """The turn to resume, if one was begun and not closed."""
        with reading(self._engine) as connection:
            return _unfinished(connection, task)

    def turns(self, task: str) -> list[Turn]:
        """Every turn of a task, oldest first."""
        chosen = select(sql.turns).where(sql.turns.c.task == task)
        with reading(self._engine) as connection:
            rows = connection.execute(chosen.order_by(*_by_age(sql.turns))).fetchall()
        return [_turn(row) for row in rows]

    def close_turn(self, turn: str, at: datetime) -> None:
        """End a turn, not before it began; closing it again changes nothing."""
        open_one = (sql.turns.c.id == turn) & sql.turns.c.closed.is_(None)
        ended = case((sql.turns.c.at > micros(at), sql.turns.c.at), else_=micros(at))
        with writing(self._engine) as connection:
            connection.execute(update(sql.turns).where(open_one).values(closed=ended))

    def stage_result(self, turn: str, stage: str) -> dict[str, Any] | None:
        """What a stage of the turn recorded, or None while it has not."""
        results = sql.stage_results.c
        chosen = select(results.result).where(results.turn == turn, results.stage == stage)
        with reading(self._engine) as connection:
            found = connection.execute(chosen).scalar()
        return None if found is None else dict(json.loads(found))

    def record_stage(self, turn: str, stage: str, result: Mapping[str, Json], at: datetime) -> None:
        """Record a stage as done. Raises StoreError ``turn.differs`` when it was, otherwise."""
        text = canonical_json(result)
        row = {"turn": turn, "stage": stage, "result": text, "at": micros(at)}
        with writing(self._engine) as connection:
            if _insert(connection, sql.stage_results, row):
                return
            results = sql.stage_results.c
            chosen = select(results.result).where(results.turn == turn, results.stage == stage)
            if connection.execute(chosen).scalar_one() != text:
                raise StoreError("turn.differs", turn=turn, stage=stage)

    def count_look(self, snapshot_test_hash: str, turn: str, at: datetime) -> int:
        """Note that a turn looked at a frozen test set; how many turns have looked, in all."""
        row = {"test": snapshot_test_hash, "turn": turn, "at": micros(at)}
        counted = select(func.count()).where(sql.looks.c.test == snapshot_test_hash)
        with writing(self._engine) as connection:
            _insert(connection, sql.looks, row)
            return int(connection.execute(counted).scalar_one())

    def looks(self, task: str, but: str = "") -> dict[str, int]:
        """How many turns of a task looked at each test, the turn ``but`` left out."""
        counted = select(sql.looks.c.test, func.count()).where(
            sql.looks.c.turn == sql.turns.c.id, sql.turns.c.task == task, sql.turns.c.id != but
        )
        with reading(self._engine) as connection:
            found = connection.execute(counted.group_by(sql.looks.c.test)).fetchall()
        return {test: int(count) for test, count in found}

    def add_version(self, version: ModelVersion) -> None:
        """Record a model version; its id is kept once."""
        self._add(sql.versions, ModelVersion, version)

    def version(self, id: str) -> ModelVersion:
        """One version. Raises StoreError ``ledger.no_version``."""
        found = self._records(ModelVersion, _select(sql.versions).where(sql.versions.c.id == id))
        if not found:
            raise StoreError("ledger.no_version", version=id)
        return found[0]

    def versions(self, task: str) -> list[ModelVersion]:
        """Every version of a task, oldest first."""
        chosen = _select(sql.versions).where(sql.versions.c.task == task)
        return self._records(ModelVersion, chosen.order_by(*_by_age(sql.versions)))

    def add_report(self, report: Report) -> None:
        """Record a report; its id is kept once."""
        self._add(sql.reports, Report, report)

    def report(self, id: str) -> Report | None:
        """One report, or None."""
        found = self._records(Report, _select(sql.reports).where(sql.reports.c.id == id))
        return found[0] if found else None

    def reports(self, task: str) -> list[Report]:
        """The reports on every version of a task, oldest first."""
        joined = sql.reports.c.challenger == sql.versions.c.id
        chosen = _select(sql.reports).where(joined, sql.versions.c.task == task)
        return self._records(Report, chosen.order_by(*_by_age(sql.reports)))

    def decisions(self, task: str) -> list[Decision]:
        """Every decision on a task, oldest first."""
        chosen = _select(sql.decisions).where(sql.decisions.c.task == task)
        return self._records(Decision, chosen.order_by(*_by_age(sql.decisions)))

    def decide(self, decision: Decision, alias_to: str | None) -> None:
        """Record a decision and, in the same transaction, let ``alias_to`` serve from then on.

        A decision that is recorded already moves nothing. Raises StoreError
        ``ledger.no_version`` when the task has no such version.
        """
        with writing(self._engine) as connection:
            last = _last(connection, sql.decisions, decision.task)
            if last is not None and decision.at < last:
                decision = replace(decision, at=last + timedelta(microseconds=1))
            if not _insert(connection, sql.decisions, _row(Decision, decision)):
                return
            if alias_to is not None:
                _move_alias(connection, decision, alias_to)

    def champion(self, task: str) -> ModelVersion | None:
        """The version that serves now, or None before the first promotion."""
        serving = (sql.aliases.c.task == task) & sql.aliases.c.until.is_(None)
        chosen = _select(sql.versions).where(sql.versions.c.id == sql.aliases.c.version, serving)
        found = self._records(ModelVersion, chosen)
        return found[0] if found else None

    def alias_history(self, task: str) -> pa.Table:
        """What served when, oldest first: version, since, until (null: serves), decision."""
        columns = [sql.aliases.c[name] for name in _HISTORY.names]
        chosen = select(*columns).where(sql.aliases.c.task == task).order_by(sql.aliases.c.seq)
        with reading(self._engine) as connection:
            return to_arrow(connection.execute(chosen).fetchall(), _HISTORY)

    def _add(self, table: Table, noun: type[R], record: R) -> None:
        with writing(self._engine) as connection:
            _insert(connection, table, _row(noun, record))

    def _records(self, noun: type[R], chosen: Select[Any]) -> list[R]:
        with reading(self._engine) as connection:
            rows = connection.execute(chosen).fetchall()
        return to_records(noun, to_arrow(rows, schema(noun)))


def _select(table: Table) -> Select[Any]:
    return select(table)


def _by_age(table: Table) -> tuple[Any, ...]:
    """Oldest first; at one moment in order of number, turn 10 after turn 9."""
    return table.c.at, func.length(table.c.id), table.c.id


def _row(noun: type[R], record: R) -> dict[str, Any]:
    columns = cells(to_table(noun, [record]))
    return {name: cell for name, (cell,) in zip(schema(noun).names, columns, strict=True)}


def _insert(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is known; True when it was new."""
    statement = insert_new(connection.engine, table, list(row))
    return connection.exec_driver_sql(statement, tuple(row.values())).rowcount == 1


def _unfinished(connection: Connection, task: str) -> Turn | None:
    open_one = (sql.turns.c.task == task) & sql.turns.c.closed.is_(None)
    row = connection.execute(select(sql.turns).where(open_one)).first()
    return None if row is None else _turn(row)


def _last(connection: Connection, table: Table, task: str) -> datetime | None:
    """The latest moment that the ledger knows of in a table."""
    at = connection.execute(select(func.max(table.c.at)).where(table.c.task == task)).scalar()
    return None if at is None else moment(at)


def _turn(row: Any) -> Turn:
    return Turn(
        row.id,
        row.task,
        moment(row.at),
        row.watermark,
        None if row.as_of is None else moment(row.as_of),
        json.loads(row.options),
        None if row.closed is None else moment(row.closed),
    )


def _move_alias(connection: Connection, decision: Decision, version: str) -> None:
    versions, aliases = sql.versions.c, sql.aliases.c
    known = select(versions.id).where(versions.id == version, versions.task == decision.task)
    if connection.execute(known).first() is None:
        raise StoreError("ledger.no_version", version=version)
    at = micros(decision.at)
    serving = (aliases.task == decision.task) & aliases.until.is_(None)
    connection.execute(update(sql.aliases).where(serving).values(until=at))
    row = {"task": decision.task, "version": version, "since": at, "decision": decision.id}
    connection.execute(insert(sql.aliases).values(**row))
