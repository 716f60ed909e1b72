"""The one intake: every row becomes an event or a bad row with its reason, never nothing.

It takes whole tables, a file's batches and single requests alike; all go through the same checks,
which are those of ``records.Event``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import RecordError, StageError
from upwell.records import LONGEST_ID, NAME, OWNERLESS, BadRow, Event
from upwell.stages.collect.columns import Problems, check_id, check_name, numbers, payloads, text
from upwell.stages.collect.rows import (
    COLUMNS,
    RAW,
    is_canonical,
    nearest,
    raw_json,
    rows_to_table,
)
from upwell.stages.collect.times import times
from upwell.tables import PROBLEM, schema
from upwell.words import say

__all__ = ["Sorted", "rows_to_table", "sort_out"]

Batch: TypeAlias = "pa.Table | pa.RecordBatch"
_NEEDED = ("id", "kind", "at")
_ALWAYS, _OWNERLESS = pa.scalar(True, pa.bool_()), pa.array(OWNERLESS, pa.string())
_PART = 131_072
"""Rows looked at together: bounds what the checks hold in memory beside the input."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """What intake made of a batch: events (Event schema), bad rows (BadRow schema), in order.

    ``bad_at`` are the places of the bad rows in the batch.
    """

    events: pa.Table
    bad: pa.Table
    bad_at: npt.NDArray[np.int64]


def sort_out(batch: Batch, source: str, received: datetime) -> Sorted:
    """Tell events from bad rows. Rows without a ``source`` get ``source``.

    ``batch`` has columns of an event, in any order and in any type that can hold them; absent
    ``prediction``, ``item``, ``value``, ``payload``, ``user`` and ``source`` count as null. Raises
    StageError ``collect.unknown_column``, ``collect.missing_column`` or ``collect.wrong_type``
    when a whole column is not what it should be, RecordError when ``source`` is not a name.

    >>> from datetime import UTC
    >>> rows = rows_to_table([{"id": "1", "user": "u", "kind": "click", "at": "yesterday"}])
    >>> sort_out(rows, "web", datetime(2024, 1, 1, tzinfo=UTC)).bad["reason"][0].as_py()
    "'at' is not a time: 'yesterday'."
    """
    if not NAME.fullmatch(source):
        raise RecordError("record.bad_name", field="source", value=source[:80])
    _check_columns(batch.schema.names)
    is_written = is_canonical(batch.schema)
    parts = [_sort_part(part, source, received, is_written) for part in _parts(batch)]
    places = (part.bad_at + place * _PART for place, part in enumerate(parts))
    return Sorted(
        pa.concat_tables([schema(Event).empty_table(), *(part.events for part in parts)]),
        pa.concat_tables([schema(BadRow).empty_table(), *(part.bad for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *places]),
    )


def _check_columns(names: list[str]) -> None:
    for name in names:
        if name not in (*COLUMNS, PROBLEM, RAW):
            raise StageError("collect.unknown_column", field=name, value=nearest(name))
    for name in _NEEDED:
        if name not in names:
            raise StageError("collect.missing_column", field=name)
    for name in set(names):
        if names.count(name) > 1:
            raise StageError("collect.twice", field=name)


def _parts(batch: Batch) -> Iterator[dict[str, pa.Array]]:
    """The columns of successive parts of a batch, each in one piece."""
    for start in range(0, len(batch), _PART):
        part = batch.slice(start, _PART)
        columns = {name: part.column(name) for name in part.schema.names}
        yield {
            name: column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            for name, column in columns.items()
        }


def _sort_part(
    given: dict[str, pa.Array], source: str, received: datetime, is_written: bool
) -> Sorted:
    rows = len(given["id"])
    absent = pa.nulls(rows)
    problems = Problems(np.zeros(rows, np.int32))
    told = given.get(PROBLEM, absent)
    problems.note(pc.is_valid(told), "", "")
    known = {name: given.get(name, absent) for name in COLUMNS}
    columns = _columns(known, source, problems, is_written)
    bad_at = np.flatnonzero(problems.first)
    if not problems.named:
        return Sorted(pa.table(columns, schema=schema(Event)), schema(BadRow).empty_table(), bad_at)
    good = pa.array(problems.first == 0)
    # Cells of refused rows may be null where an event's must not, so they go before the cast.
    events = pa.table({name: column.filter(good) for name, column in columns.items()})
    bad = _bad_rows(given, problems, source, received)
    return Sorted(events.cast(schema(Event)), bad, bad_at)


def _columns(
    given: dict[str, pa.Array], source: str, problems: Problems, is_written: bool
) -> dict[str, pa.Array]:
    """The checked columns of an event; the order of checks decides which problem is told."""
    texts = {
        name: text(name, given[name])
        for name in ("id", "source", "kind", "user", "prediction", "item")
    }
    texts["source"] = pc.fill_null(texts["source"], source)
    check_id("id", texts["id"], problems, _ALWAYS)
    check_name("source", texts["source"], problems)
    check_name("kind", texts["kind"], problems)
    at = times(given["at"], problems)
    has_owner = pc.invert(pc.is_in(texts["kind"], _OWNERLESS))
    check_id("user", texts["user"], problems, has_owner)
    texts["user"] = pc.fill_null(texts["user"], "")
    check_id("prediction", texts["prediction"], problems, None)
    check_id("item", texts["item"], problems, None)
    value = numbers("value", given["value"], problems)
    payload = payloads(given["payload"], problems, is_written)
    made = {**texts, "at": at, "value": value, "payload": payload}
    return {name: made[name] for name in COLUMNS}


def _bad_rows(
    given: dict[str, pa.Array], problems: Problems, source: str, received: datetime
) -> pa.Table:
    """The refused rows, each with the code, field and reason of its first problem."""
    where = pa.array(np.flatnonzero(problems.first))
    cells = {name: _plain(column.take(where)) for name, column in given.items()}
    told = cells.pop(PROBLEM, [None] * len(where))
    raws = cells.pop(RAW, [None] * len(where))
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    firsts = problems.first[problems.first > 0]
    made: dict[str, list[object]] = {name: [] for name in schema(BadRow).names}
    for row, first, problem, raw in zip(rows, firsts, told, raws, strict=True):
        code, column = problems.named[first - 1]
        value = row.get(column, "")
        if problem is not None:
            code, column, value = problem.split("\t")
        named = str(row.get("source") or source)
        made["source"].append(named if NAME.fullmatch(named) else source)
        made["code"].append(code)
        made["field"].append(column)
        made["reason"].append(_reason(code, column, value))
        # What could not be read at all may hold a NUL, which not every database keeps in a text.
        made["raw"].append((raw or raw_json(row)).replace("\x00", "\\0"))
        made["at"].append(received)
    return pa.table(made, schema=schema(BadRow))


def _plain(column: pa.Array) -> list[Any]:
    """Cells for people: times as text, because Python knows no year 0 and no nanoseconds."""
    if pa.types.is_timestamp(column.type):
        shown = column.cast(pa.timestamp(column.type.unit, None if not column.type.tz else "UTC"))
        return list(shown.cast(pa.string()).to_pylist())
    return list(column.to_pylist())


def _reason(code: str, column: str, value: object) -> str:
    shown = str(value)[:80].replace("\x00", "\\0")
    known = {"longest": LONGEST_ID, "expected": _EXPECTED.get(column, "text")}
    return say(f"error.{code}.what", "en", field=column, value=shown, **known)


_EXPECTED = {"at": "a time", "value": "a number", "payload": "a JSON object"}
