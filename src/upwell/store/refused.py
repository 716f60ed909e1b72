"""Rows that intake refused, as the journal keeps them: read a page at a time, and taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlalchemy import Select, delete, func, select

from upwell.records import BadRow
from upwell.store import schema as sql
from upwell.store.database import reading, to_arrow, writing
from upwell.store.journal import SEQ, Journal
from upwell.tables import schema

CONFLICT = "event.conflict"
_SHAPE = schema(BadRow).append(SEQ)
_LOOKUP = 500


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which bad rows: those with a code, of a source; '' for any."""

    code: str = ""
    source: str = ""

    def of(self, query: Select[Any]) -> Select[Any]:
        """The query for these rows alone."""
        rows = sql.bad_rows.c
        if self.code:
            query = query.where(rows.code == self.code)
        return query.where(rows.source == self.source) if self.source else query


def read(journal: Journal, chosen: Chosen, after: int, limit: int) -> pa.Table:
    """Up to ``limit`` bad rows with a greater ``seq``, oldest first: BadRow columns and ``seq``."""
    rows = sql.bad_rows.c
    query = chosen.of(select(*(rows[name] for name in _SHAPE.names)).where(rows.seq > after))
    with reading(journal.engine) as connection:
        found = connection.execute(query.order_by(rows.seq).limit(limit)).fetchall()
    return to_arrow(found, _SHAPE)


def count(journal: Journal, chosen: Chosen) -> dict[tuple[str, str], int]:
    """Bad rows by code and field."""
    rows = sql.bad_rows.c
    query = chosen.of(select(rows.code, rows.field, func.count()))
    with reading(journal.engine) as connection:
        found = connection.execute(query.group_by(rows.code, rows.field)).fetchall()
    return {(code, field): number for code, field, number in found}


def last(journal: Journal) -> int:
    """The ``seq`` of the newest bad row; 0 where there is none."""
    with reading(journal.engine) as connection:
        return connection.execute(select(func.max(sql.bad_rows.c.seq))).scalar() or 0


def forget(journal: Journal, seqs: Sequence[int]) -> None:
    """Remove bad rows that are rows no more."""
    with writing(journal.engine) as connection:
        for start in range(0, len(seqs), _LOOKUP):
            chosen = sql.bad_rows.c.seq.in_(seqs[start : start + _LOOKUP])
            connection.execute(delete(sql.bad_rows).where(chosen))
