"""The nouns as Arrow schemas and SQL tables, both derived from the records.

Text, numbers, booleans and times map to their column types, tuples of text or numbers to
lists; everything else that is structured is JSON text (in SQL, lists too). ``None`` in an
annotation makes a column nullable. Times are microseconds in UTC: Arrow
``timestamp[us, UTC]``, SQL big integers (the same number, on every database).
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from pyarrow import compute as pc

CORRECTED = "#correction"
"""Ends the id of the row that a correction makes beside the row of what was shown."""
PROBLEM = "_problem"
"""A column that may stand beside an event's own, on the way to intake: why a row that could not be
read as an event is none (code, field, value; tabs between)."""
TIME = pa.timestamp("us", tz="UTC")
_SLASH = pa.scalar("/", pa.string())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(Protocol):
    """Any noun: a frozen dataclass."""

    __dataclass_fields__: typing.ClassVar[dict[str, Any]]


R = TypeVar("R", bound=Record)
_PLAIN: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: TIME,
    tuple[str, ...]: pa.list_(pa.string()),
    tuple[float, ...]: pa.list_(pa.float32()),
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """The rows a task learns from and is judged on, as Arrow tables.

    ``train``, ``validation`` and ``test`` have the Example schema; where a task learns from
    histories, each also has a ``history`` column (see ``stages.dataset``). ``items`` has columns
    ``item`` and ``text``, one row per known item, and is empty where a task has no catalogue.
    """

    train: pa.Table
    validation: pa.Table
    test: pa.Table
    items: pa.Table


@cache
def _hints(noun: type[Record]) -> dict[str, Any]:
    """The annotation of each field of a noun, in order."""
    hints = typing.get_type_hints(noun)
    return {entry.name: hints[entry.name] for entry in dataclasses.fields(noun)}


@cache
def schema(noun: type[Record]) -> pa.Schema:
    """The Arrow schema of a noun.

    >>> from upwell.records import Signal
    >>> schema(Signal).field("weight").type
    DataType(double)
    """
    fields = []
    for name, hint in _hints(noun).items():
        plain, nullable = _column(hint)
        fields.append(pa.field(name, plain, nullable=nullable))
    return pa.schema(fields)


def to_table(noun: type[R], rows: Iterable[R]) -> pa.Table:
    """Records to one Arrow table with the noun's schema."""
    listed = list(rows)
    shape, hints = schema(noun), _hints(noun)
    columns = {}
    for name in shape.names:
        cells = [getattr(row, name) for row in listed]
        hint = hints[name]
        columns[name] = [encode(cell, hint) for cell in cells] if _is_json(hint) else cells
    return pa.table(columns, schema=shape)


def to_records(noun: type[R], table: pa.Table) -> list[R]:
    """An Arrow table back to records; each is validated at birth."""
    columns = []
    for name, hint in _hints(noun).items():
        cells = table[name].to_pylist()
        if _is_json(hint):
            cells = [None if cell is None else _thaw(json.loads(cell), hint) for cell in cells]
        elif pa.types.is_nested(schema(noun).field(name).type):
            cells = [None if cell is None else tuple(cell) for cell in cells]
        columns.append(cells)
    return [noun(*row) for row in zip(*columns, strict=True)]


def encode(value: Any, hint: Any) -> Any:
    """A field's value as a cell: structured values become JSON text with sorted keys."""
    if _is_json(hint) and not (value is None and type(None) in _options(hint)):
        return canonical_json(value)
    return value


def decode(cell: Any, hint: Any) -> Any:
    """A cell back to the value that the annotation promises."""
    if _is_json(hint) and cell is not None:
        return _thaw(json.loads(cell), hint)
    return tuple(cell) if isinstance(cell, list) else cell


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values are equal text.

    >>> canonical_json({"b": (1, 2), "a": None})
    '{"a":null,"b":[1,2]}'
    """
    return _ENCODER.encode(value)


def as_text(value: Any) -> str | None:
    """What stands in JSON as SQL reads it (``->>``): text as it is, None for null, else JSON.

    >>> as_text("a"), as_text(True), as_text(1.0), as_text(None)
    ('a', 'true', '1.0', None)
    """
    return value if value is None or isinstance(value, str) else canonical_json(value)


def micros(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    since = at - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(micros_since_epoch: int) -> datetime:
    """The time of ``micros``."""
    return EPOCH + timedelta(microseconds=micros_since_epoch)


def event_keys(events: pa.Table) -> pa.ChunkedArray:
    """Column of ``source/id`` for a table of events."""
    return pc.binary_join_element_wise(events["source"], events["id"], _SLASH)


def _options(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _is_json(hint: Any) -> bool:
    options = [option for option in _options(hint) if option is not type(None)]
    return len(options) != 1 or options[0] not in _PLAIN


def _column(hint: Any) -> tuple[pa.DataType, bool]:
    """The column type of an annotation and whether it may be null."""
    options = _options(hint)
    nullable = type(None) in options
    plain = [option for option in options if option is not type(None)]
    return (_PLAIN.get(plain[0], pa.string()) if len(plain) == 1 else pa.string()), nullable


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# Made once: every event passes here.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain
)


def _thaw(value: Any, hint: Any) -> Any:
    """JSON back to tuples and nested records where the annotation says so."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_thaw(entry, arguments[0]) for entry in value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return hint(**value)
    if isinstance(value, dict) and len(arguments) == 2:
        return {key: _thaw(entry, arguments[1]) for key, entry in value.items()}
    return value
