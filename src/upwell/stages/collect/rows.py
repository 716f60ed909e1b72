"""Rows as people send them (mappings, or events) to one table for ``sort_out``.

Each row is looked at on its own, so that one bad row never blocks its neighbours: a row that no
column could hold travels as its problem and its raw text instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from types import NoneType

import pyarrow as pa

from upwell.records import Event
from upwell.tables import PROBLEM, canonical_json, schema

COLUMNS: tuple[str, ...] = tuple(schema(Event).names)
RAW = "_raw"
"""A column beside an event's own and ``PROBLEM``: the row as JSON."""
_TYPES = {
    name: pa.float64() if name == "value" else pa.string() for name in (*COLUMNS, PROBLEM, RAW)
}
_KNOWN = frozenset(COLUMNS)
_PLAIN: Mapping[str, set[type]] = {
    "value": {float, int, NoneType}, "payload": {dict, NoneType},
}  # fmt: skip
"""Types that a column holds as they should be; of every other column text, or nothing."""
_CANONICAL = {b"json": b"canonical"}
_QUICK = pa.schema(
    [
        pa.field(name, kind, metadata=_CANONICAL if name == "payload" else None)
        for name, kind in _TYPES.items()
    ]
)
LONGEST_RAW = 65_536
_SHOWN = 80


class _BadCellError(Exception):
    """A value that its field cannot hold: code, field, value."""


def rows_to_table(rows: Iterable[Mapping[str, object] | Event]) -> pa.Table:
    """Rows to a table that ``sort_out`` takes; whatever a row holds, nothing raises.

    >>> table = rows_to_table([{"id": "1", "user": 7, "kind": "click", "at": 881250949}])
    >>> table["user"].to_pylist(), table["at"].to_pylist()
    (['7'], ['881250949'])
    """
    listed = list(rows)
    quick = _quick(listed)
    if quick is not None:
        return quick
    columns: dict[str, list[object]] = {name: [] for name in _TYPES}
    for row in listed:
        for name, cell in zip(columns, _cells(row), strict=True):
            columns[name].append(cell)
    return pa.table({name: pa.array(cells, _TYPES[name]) for name, cells in columns.items()})


def _quick(rows: list[Mapping[str, object] | Event]) -> pa.Table | None:
    """The same table, column by column, where every row is as it should be; else None."""
    whole = [row for row in rows if isinstance(row, dict) and row.keys() <= _KNOWN]
    if len(whole) < len(rows):
        return None
    columns: list[pa.Array] = []
    try:
        for name in COLUMNS:
            cells = [row.get(name) for row in whole]
            if not set(map(type, cells)) <= _PLAIN.get(name, {str, NoneType}):
                return None
            if name == "payload":
                cells = [None if cell is None else canonical_json(cell) for cell in cells]
            columns.append(pa.array(cells, _TYPES[name]))
    except (ValueError, TypeError, OverflowError, RecursionError, pa.ArrowException):
        # Which row is to blame, and for what, is found by looking at each on its own.
        return None
    nothing = pa.nulls(len(rows), pa.string())
    return pa.Table.from_arrays([*columns, nothing, nothing], schema=_QUICK)


def is_canonical(shape: pa.Schema) -> bool:
    """Whether the payloads of a table are canonical JSON objects, as ``rows_to_table`` says."""
    return "payload" in shape.names and shape.field("payload").metadata == _CANONICAL


def raw_json(row: Mapping[str, object]) -> str:
    """A row as JSON text of at most ``LONGEST_RAW`` characters, whatever it holds.

    >>> raw_json({"id": "1", "value": math.nan})
    '{"id": "1", "value": "nan"}'
    """
    kept = {str(name): _finite(value) for name, value in row.items()}
    try:
        text = json.dumps(kept, default=str, ensure_ascii=False)
        if not _is_text(text):
            text = json.dumps(kept, default=str)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps({"unreadable": sorted(kept)})
    return text if len(text) <= LONGEST_RAW else json.dumps({"cut": text[: LONGEST_RAW // 8]})


def nearest(name: str) -> str:
    """The event's column that a name most resembles, else all of them.

    >>> nearest("itme")
    'item'
    """
    return (get_close_matches(name, COLUMNS, 1) or [", ".join(COLUMNS)])[0]


def _cells(row: object) -> tuple[object, ...]:
    """The cells of one row, its problem and its raw text."""
    if isinstance(row, Event):
        row = {name: getattr(row, name) for name in COLUMNS}
    try:
        if not isinstance(row, Mapping):
            raise _BadCellError("collect.not_a_row", "", row)
        for name in row:
            if name not in COLUMNS:
                raise _BadCellError("collect.unknown_column", name, nearest(str(name)))
        readers = ((name, _READERS.get(name, _text)) for name in COLUMNS)
        return (*(read(name, row.get(name)) for name, read in readers), None, None)
    except _BadCellError as error:
        problem = "\t".join(_shown(part) for part in error.args)
        raw = raw_json(row if isinstance(row, Mapping) else {"row": row})
        return (*(None for _ in COLUMNS), problem, raw)


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise _BadCellError("collect.wrong_type", name, type(value).__name__)
    if not _is_text(value):
        raise _BadCellError("collect.bad_text", name, value)
    return value


def _time(name: str, value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _BadCellError("record.not_finite", name, value)
        return f"{value:f}"
    return _text(name, value)


def _number(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _BadCellError("collect.wrong_type", name, type(value).__name__)
    try:
        return float(value)
    except ValueError:
        raise _BadCellError("collect.not_a_number", name, value) from None
    except OverflowError:
        raise _BadCellError("record.not_finite", name, "inf") from None


def _payload(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return _text(name, value)
    if not isinstance(value, Mapping):
        raise _BadCellError("collect.bad_payload", name, type(value).__name__)
    try:
        return _text(name, canonical_json(value))
    except (TypeError, ValueError, RecursionError):
        raise _BadCellError("collect.bad_payload", name, type(value).__name__) from None


_READERS: dict[str, Callable[[str, object], object]] = {
    "at": _time,
    "value": _number,
    "payload": _payload,
}


def _is_text(value: str) -> bool:
    """Whether text can be written as UTF-8; a lone surrogate cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _finite(value: object) -> object:
    """JSON has no word for a number that is not finite."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: object) -> str:
    """A value as a short line of plain text."""
    try:
        line = str(value)[:_SHOWN]
    except (ValueError, RecursionError):
        line = type(value).__name__
    return ascii(line)[1:-1] if not line.isprintable() else line
