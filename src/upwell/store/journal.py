"""The journal: the truth about what was accepted. What it acknowledged is on disk.

Events are kept once by (source, id), for ever: the same id with the same body is a duplicate,
with another body a conflict that is kept among the bad rows while the first body stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import compute as pc
from sqlalchemy import Connection, Engine, Table, func, select

from upwell.records import BadRow, Consent, Event, Prediction, Receipt
from upwell.store import schema as sql
from upwell.store.commits import GroupCommit
from upwell.store.database import (
    cells,
    connect,
    insert_new,
    is_storable,
    let_go,
    make_tables,
    reading,
    to_arrow,
    writing,
)
from upwell.store.tombstones import Tombstones
from upwell.tables import Record, canonical_json, micros, schema, to_records, to_table
from upwell.words import say

Row = tuple[Any, ...]
Stored = dict[tuple[str, str], tuple[int, bytes]]
"""What the journal holds: (source, id) → (seq, digest of the body)."""
SEQ = pa.field("seq", pa.int64(), nullable=False)
_SLICE = 50_000
"""Rows in one commit: enough to make its wait for the disk negligible, little enough to hold."""
_LOOKUP = 500
_EVENT = tuple(schema(Event).names)
_STORED = (*_EVENT, "body", "received")
_BODY = tuple(name for name in _EVENT if name not in ("id", "source"))
_SOURCE, _ID, _USER, _AT = (_EVENT.index(name) for name in ("source", "id", "user", "at"))
_FORGOTTEN = (0, b"")
_COMMA = pa.scalar(",", pa.string())
_LAST = select(func.max(sql.events.c.seq))


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: list[Row]
    received: datetime


class Journal:
    """Append-only tables of events, predictions, consents and bad rows; safe among threads."""

    def __init__(self, engine: Engine, key: bytes = b"") -> None:
        self.engine = engine
        self.tombstones = Tombstones(key)
        make_tables(engine, sql.metadata)
        self._events = GroupCommit(self._write_events)
        self._predictions = GroupCommit(self._write_predictions)

    @classmethod
    def open(cls, url: str, folder: Path, key: bytes = b"") -> Journal:
        """The journal at ``url``, made where absent; SQLite paths are relative to ``folder``.

        ``key`` is what the tombstones of users who were forgotten are made with.
        """
        return cls(connect(url, folder), key)

    def close(self) -> None:
        """Give every connection back: those in use as soon as they are not."""
        let_go(self.engine)

    def append_events(self, events: pa.Table, received: datetime) -> Receipt:
        """Keep events with the Event schema; what the receipt counts as accepted is on disk.

        Large tables are committed in slices: when one fails, earlier ones stay, and sending the
        whole table again counts them as duplicates.
        """
        rows = events.select(_EVENT)
        receipts = [
            self._events.submit(_Batch(_event_rows(part, received), received))
            for part in _slices(rows)
        ]
        parts = list(enumerate(receipts))
        return Receipt(
            sum(part.accepted for part in receipts),
            sum(part.duplicates for part in receipts),
            tuple(bad for part in receipts for bad in part.refused),
            tuple(n * _SLICE + place for n, part in parts for place in part.refused_at),
            tuple(n * _SLICE + place for n, part in parts for place in part.duplicates_at),
        )

    def keep_bad_rows(self, rows: pa.Table) -> None:
        """Keep rows with the BadRow schema."""
        for part in _slices(rows.select(schema(BadRow).names)):
            with writing(self.engine) as connection:
                _insert(connection, sql.bad_rows, schema(BadRow).names, _rows(part))

    def add_consents(self, consents: pa.Table) -> int:
        """Keep consents; returns how many were new. A consent's id is kept once.

        One that a user who was forgotten gave before that is a late retry, and not kept.
        """
        rows = _rows(consents.select(schema(Consent).names))
        with writing(self.engine) as connection:
            return self._add(connection, sql.consents, Consent, rows)

    def append_predictions(self, predictions: pa.Table) -> int:
        """Keep predictions as ``add_consents`` keeps consents; returns how many were new."""
        parts = _slices(predictions.select(schema(Prediction).names))
        return sum(self._predictions.submit(_rows(part)) for part in parts)

    def consents(self) -> pa.Table:
        """Every consent, in the order in which they were recorded."""
        return self._read(sql.consents, schema(Consent))

    def bad_rows(self, limit: int) -> pa.Table:
        """The newest bad rows, newest first."""
        query = select(*_columns(sql.bad_rows, schema(BadRow).names))
        with reading(self.engine) as connection:
            newest = query.order_by(sql.bad_rows.c.seq.desc()).limit(limit)
            return to_arrow(connection.execute(newest).fetchall(), schema(BadRow))

    def events_after(self, seq: int, limit: int) -> pa.Table:
        """Up to ``limit`` events with a greater ``seq``, in order: Event columns and ``seq``."""
        return self._read(sql.events, schema(Event).append(SEQ), seq, limit)

    def predictions_after(self, seq: int, limit: int) -> pa.Table:
        """Up to ``limit`` predictions with a greater ``seq``: Prediction columns and ``seq``."""
        return self._read(sql.predictions, schema(Prediction).append(SEQ), seq, limit)

    def prediction(self, id: str) -> Prediction | None:
        """The prediction with this id; None where there is none."""
        if not is_storable(id):
            return None
        query = select(*_columns(sql.predictions, schema(Prediction).names))
        with reading(self.engine) as connection:
            rows = connection.execute(query.where(sql.predictions.c.id == id)).fetchall()
        return next(iter(to_records(Prediction, to_arrow(rows, schema(Prediction)))), None)

    def counts(self) -> dict[str, int]:
        """Rows held, by table: events, predictions, consents, bad_rows."""
        tables = (sql.events, sql.predictions, sql.consents, sql.bad_rows)
        with reading(self.engine) as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in tables
            }

    def fact(self, name: str, value: str) -> str:
        """The first value ever given to ``name`` in this database; ``value`` if this is it."""
        with writing(self.engine) as connection:
            _insert(connection, sql.facts, ("name", "value"), [(name, value)])
            found = connection.execute(select(sql.facts.c.value).where(sql.facts.c.name == name))
            return str(found.scalar_one())

    def _read(
        self, table: Table, shape: pa.Schema, seq: int = 0, limit: int | None = None
    ) -> pa.Table:
        query = select(*_columns(table, shape.names)).where(table.c.seq > seq)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(table.c.seq).limit(limit)).fetchall()
        return to_arrow(rows, shape)

    def _write_predictions(self, jobs: list[list[Row]]) -> list[int]:
        with writing(self.engine) as connection:
            return [self._add(connection, sql.predictions, Prediction, rows) for rows in jobs]

    def _add(self, to: Connection, table: Table, record: type[Record], rows: list[Row]) -> int:
        """Insert what is new, and of nobody who was forgotten since; returns how many rows."""
        names = schema(record).names
        key, user, at = map(names.index, ("id", "user", "since" if record is Consent else "at"))
        late = self.tombstones.refused(to, [("", row[key], row[user], row[at]) for row in rows])
        kept = [row for place, row in enumerate(rows) if place not in late]
        return _insert(to, table, names, kept)

    def _write_events(self, batches: list[_Batch]) -> list[Receipt]:
        """One transaction for every batch that waits; a receipt for each."""
        rows = [row for batch in batches for row in batch.rows]
        with writing(self.engine) as connection:
            last = connection.execute(_LAST).scalar() or 0
            sent = [(row[_SOURCE], row[_ID], row[_USER], row[_AT]) for row in rows]
            late = self.tombstones.refused(connection, sent)
            kept = [row for place, row in enumerate(rows) if place not in late]
            if _insert(connection, sql.events, _STORED, kept) == len(rows):
                return [Receipt(len(batch.rows), 0) for batch in batches]
            receipts = _tell_apart(batches, _stored(connection, kept), last)
            refused = [bad for receipt in receipts for bad in receipt.refused]
            bad_rows = _rows(to_table(BadRow, refused))
            _insert(connection, sql.bad_rows, schema(BadRow).names, bad_rows)
            return receipts


def _event_rows(events: pa.Table, received: datetime) -> list[Row]:
    """Events as SQL rows with the digest of their body and the time of receipt."""
    columns = cells(events)
    return list(zip(*columns, _digests(events), [micros(received)] * len(events), strict=True))


def _digests(events: pa.Table) -> list[bytes]:
    """128 bits of BLAKE2b over each body: the lengths of its cells, then the cells.

    The lengths keep bodies apart that differ only in where one cell ends.
    """
    texts = [_text(events[name]) for name in _BODY]
    lengths = [pc.fill_null(pc.binary_length(text), -1).cast(pa.string()) for text in texts]
    filled = [pc.fill_null(text, "") for text in texts]
    bodies = pc.binary_join_element_wise(*lengths, *filled, _COMMA).cast(pa.binary())
    return [hashlib.blake2b(body, digest_size=16).digest() for body in bodies.to_pylist()]


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return column.cast(pa.string())


def _stored(connection: Connection, rows: Sequence[Row]) -> Stored:
    """What the journal holds under the keys of ``rows``."""
    by_source: dict[str, list[str]] = {}
    for row in rows:
        by_source.setdefault(row[_SOURCE], []).append(row[_ID])
    table = sql.events.c
    found: Stored = {}
    for source, ids in by_source.items():
        query = select(table.id, table.seq, table.body).where(table.source == source)
        for start in range(0, len(ids), _LOOKUP):
            chosen = query.where(table.id.in_(ids[start : start + _LOOKUP]))
            for event, seq, body in connection.execute(chosen):
                found[source, event] = (seq, bytes(body))
    return found


def _tell_apart(batches: Sequence[_Batch], stored: Stored, last: int) -> list[Receipt]:
    """Which rows were accepted (stored just now, first of their key), duplicates or conflicts."""
    claimed: set[tuple[str, str]] = set()
    receipts = []
    for batch in batches:
        refused: dict[int, BadRow] = {}
        duplicates: list[int] = []
        for place, row in enumerate(batch.rows):
            key = (row[_SOURCE], row[_ID])
            seq, body = stored.get(key, _FORGOTTEN)
            if not body:
                refused[place] = _late(row, batch.received)
            elif body != row[len(_EVENT)]:
                refused[place] = _conflict(row, batch.received)
            elif seq > last and key not in claimed:
                claimed.add(key)
            else:
                duplicates.append(place)
        accepted = len(batch.rows) - len(refused) - len(duplicates)
        bad, places = tuple(refused.values()), (tuple(refused), tuple(duplicates))
        receipts.append(Receipt(accepted, len(duplicates), bad, *places))
    return receipts


def _conflict(row: Row, received: datetime) -> BadRow:
    named = dict(zip(_EVENT, row, strict=False))
    source = str(named["source"])
    reason = say("error.event.conflict.what", "en", source=source, id=named["id"])
    return BadRow(source, "event.conflict", "id", reason, canonical_json(named), received)


def _late(row: Row, received: datetime) -> BadRow:
    """A late retry of what was erased: kept as having come, without what it holds."""
    reason = say("error.event.erased.what", "en")
    return BadRow(str(row[_SOURCE]), "event.erased", "user", reason, "", received)


def _slices(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(rows), _SLICE):
        yield rows.slice(start, _SLICE)


def _rows(table: pa.Table) -> list[Row]:
    return list(zip(*cells(table), strict=True))


def _columns(table: Table, names: Sequence[str]) -> list[Any]:
    return [table.c[name] for name in names]


def _insert(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[Row]) -> int:
    """Insert what is new; returns how many rows that was."""
    if not rows:
        return 0
    statement = insert_new(connection.engine, table, names)
    return connection.exec_driver_sql(statement, list(rows)).rowcount
