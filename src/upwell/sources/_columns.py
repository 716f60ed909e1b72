"""Columns of a file to columns of an event: what every tabular source shares.

A mapping says for a field of an event where it comes from: ``user=uid`` takes the column
``uid``; ``kind==rating`` is the constant ``rating`` (a value that begins with ``=``);
``payload=title+genres`` gathers columns into one JSON object, ``payload=*`` all that are not
mapped otherwise. A field that is not mapped takes the column of its own name, where there is one.

``input``, ``target`` and ``correction`` stand in the payload: ``input=text``, ``target=label``,
``input=age+income`` or ``input=*`` (all columns that are not mapped otherwise) for a table. Rows
with an input and a target are labels unless ``kind`` says otherwise: they need no user, and one
without a time has been known from the beginning.

Values are not validated here: intake does that for every source alike. A column is converted to
the event's type where all its values allow it and otherwise left as it is, so that intake can
name the rows that are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import SourceError
from upwell.records import EARLIEST, LATEST, Event
from upwell.sources._flaws import USUAL, problem
from upwell.sources._formats import formats_of
from upwell.tables import PROBLEM, TIME, micros, schema

ROWS = 65_536
"""Rows of a batch: what a source holds in memory at a time."""
INSIDE = ("input", "target", "correction")
"""What a mapping may name besides the fields of an event: these stand in the payload."""
_FIELDS = schema(Event)
_DIGITS = r"^\d+(\.\d*)?$"
_OBJECT = "{}"
"""Marks an entry of the payload that is an object of columns; no column is called so."""


Numbers: TypeAlias = "Sequence[int] | npt.NDArray[np.int64]"


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file. ``numbers`` are their row numbers, from 1, in the file's order.

    ``broken`` are rows between them that could not be divided into columns: number and text.
    ``flaws`` are the codes of what is wrong with one whose text is no JSON object, and with others.
    """

    batch: pa.RecordBatch
    numbers: Numbers
    broken: tuple[tuple[int, str], ...] = ()
    flaws: tuple[str, str] = USUAL


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each field of an event comes from; ``stem`` begins the ids of rows without one."""

    stem: str
    columns: Mapping[str, str]
    constants: Mapping[str, str]
    gathered: tuple[str, ...]
    inside: Mapping[str, tuple[str, ...]]
    """Entries of the payload, each of one column, or an object of several or of ``*``."""

    @property
    def needed(self) -> list[str]:
        """Every column that is read, once."""
        inside = [name for names in self.inside.values() for name in names if name != _OBJECT]
        return list(dict.fromkeys((*self.columns.values(), *self.gathered, *inside)))


def plan(file: str, stem: str, names: Sequence[str], mapping: Mapping[str, str]) -> Plan:
    """How to read a file with columns ``names``.

    Raises SourceError ``source.unknown_column`` for a column that the file does not have, and
    ``source.unmapped`` when no column says when it happened, what kind of event it is, or who
    did it (or to which item); ``source.other_format`` where such columns are known.

    >>> plan("r.csv", "r", ["uid", "at"], {"user": "uid", "kind": "=click"}).columns
    {'at': 'at', 'user': 'uid'}
    """
    for name in names:
        if list(names).count(name) > 1:
            raise SourceError("source.twice", file=file, column=name)
    own = {field: field for field in _FIELDS.names if field in names}
    wanted = {**own, **mapping}
    within = {key: wanted.pop(key) for key in INSIDE if key in wanted}
    if {"input", "target"} <= set(within):
        wanted = {"kind": "=label", "at": f"={EARLIEST.isoformat()}", **wanted}
    constants = {
        field: column[1:] for field, column in wanted.items() if _is_constant(column, names)
    }
    gathered = (
        wanted["payload"].split("+") if _is_gathered(wanted.get("payload", ""), names) else []
    )
    columns = {
        field: column
        for field, column in wanted.items()
        if field not in constants and not (gathered and field == "payload")
    }
    used = {*columns.values(), *(one for one in within.values() if one in names)}
    if gathered == ["*"]:
        gathered = [name for name in names if name not in used]
    inside = {key: _inside(text, names, used) for key, text in within.items()}
    chosen = Plan(stem, columns, constants, tuple(name for name in gathered if name), inside)
    _refuse_if_impossible(file, names, chosen)
    return chosen


def _inside(wanted: str, names: Sequence[str], used: Iterable[str]) -> tuple[str, ...]:
    """The columns of an entry of the payload; an object of several begins with ``_OBJECT``."""
    if not _is_gathered(wanted, names):
        return (wanted,)
    if wanted == "*":
        return (_OBJECT, *(name for name in names if name not in used))
    return (_OBJECT, *wanted.split("+"))


def _is_constant(wanted: str, names: Sequence[str]) -> bool:
    return wanted.startswith("=") and wanted not in names


def _is_gathered(wanted: str, names: Sequence[str]) -> bool:
    return wanted not in names and ("+" in wanted or wanted == "*") and wanted[0] != "="


def _refuse_if_impossible(file: str, names: Sequence[str], chosen: Plan) -> None:
    listed = ", ".join(names)
    for column in chosen.needed:
        if column not in names:
            nearest = (get_close_matches(column, names, 1, 0.0) or [""])[0]
            raise SourceError(
                "source.unknown_column", file=file, column=column, nearest=nearest, columns=listed
            )
    known = {*chosen.columns, *chosen.constants, *chosen.inside}
    for choices in (("at",), ("kind",), ("user", "item", "target")):
        if not known & set(choices):
            named = {"file": file, "field": choices[0], "columns": listed}
            if others := formats_of(file, names):
                told = " / ".join(f"--format {name}" for name in others)
                raise SourceError("source.other_format", **named, formats=told)
            raise SourceError("source.unmapped", **named)


def events(parts: Iterable[Part], plan: Plan) -> Iterator[pa.RecordBatch]:
    """Parts as batches of events; a broken row becomes one of no kind with its reason, for intake.

    Its id is its row's and its payload is its text, so that nothing is lost and its row can be
    imported again once it is corrected.
    """
    for part in parts:
        if len(part.numbers):
            yield _events(part, plan)
        if part.broken:
            yield _broken(part, plan)


def _events(part: Part, plan: Plan) -> pa.RecordBatch:
    rows = len(part.numbers)
    made: dict[str, pa.Array] = {"id": _row_ids(plan, part.numbers)}
    for field, column in plan.columns.items():
        made[field] = fit(part.batch.column(column), _FIELDS.field(field).type)
    for field, constant in plan.constants.items():
        made[field] = fit(pa.repeat(pa.scalar(constant), rows), _FIELDS.field(field).type)
    if plan.gathered or plan.inside:
        made["payload"] = _objects(part.batch, plan)
    return _batch(made, rows)


def _broken(part: Part, plan: Plan) -> pa.RecordBatch:
    ids = _row_ids(plan, [number for number, _ in part.broken])
    texts = [text for _, text in part.broken]
    payloads = [json.dumps({"unreadable": text}, ensure_ascii=False) for text in texts]
    batch = _batch({"id": ids, "payload": pa.array(payloads)}, len(texts))
    why = [problem(text, part.flaws) for text in texts]
    return batch.append_column(PROBLEM, pa.array(why, pa.string()))


def _row_ids(plan: Plan, numbers: Numbers) -> pa.Array:
    counted = pa.array(np.asarray(numbers, np.int64)).cast(pa.string())
    return pc.binary_join_element_wise(plan.stem, counted, ":")


def _batch(made: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    """The Event schema where types and nulls allow it, else the same columns as they are."""
    arrays, fields = [], []
    for field in _FIELDS:
        array = made.get(field.name, pa.nulls(rows, field.type))
        if field.name == "payload" and array.type == field.type:
            array = pc.fill_null(array, "{}")
        fits = array.type == field.type and (field.nullable or not array.null_count)
        arrays.append(array)
        fields.append(field if fits else pa.field(field.name, array.type))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def fit(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column in the type that an event wants, or as it is where a value does not allow it.

    >>> fit(pa.array(["881250949"]), TIME)[0].as_py().year
    1997
    >>> fit(pa.array(["4", "five"]), pa.float64()).to_pylist()
    ['4', 'five']
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return fit(column.dictionary_decode(), wanted)
    if kind == wanted:
        return column
    try:
        if wanted == TIME:
            return _times(column)
        if pa.types.is_struct(kind) or pa.types.is_map(kind):
            return _texts_of_objects(column) if wanted == pa.string() else column
        if pa.types.is_floating(kind) and wanted == pa.string():
            return column
        if pa.types.is_binary(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            return column
        return column.cast(wanted)
    except pa.ArrowException:
        return column


def _times(column: pa.Array) -> pa.Array:
    """Moments with a zone, or seconds since 1970 where all of them are sensible as such."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return column.cast(TIME) if kind.tz else column
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        if not pc.all(pc.match_substring_regex(column, _DIGITS)).as_py():
            return column.cast(TIME)
        return _seconds(column.cast(pa.float64()), column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _seconds(column.cast(pa.float64()), column)
    return column


def _seconds(seconds: pa.Array, otherwise: pa.Array) -> pa.Array:
    low, high = micros(EARLIEST) / 1e6, micros(LATEST) / 1e6
    sensible = pc.and_(pc.greater_equal(seconds, low), pc.less(seconds, high))
    if not pc.all(sensible).as_py():
        return otherwise
    return pc.round(pc.multiply(seconds, 1e6)).cast(pa.int64()).cast(TIME)


def column_of(values: Sequence[Any]) -> pa.Array:
    """Values of JSON as a column: of one type, or where they have none in common, their JSON."""
    if not any(isinstance(value, dict | list) for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass  # Numbers beside text, say: intake reads either from text.
    return pa.array([text_of(value) for value in values], pa.string())


def text_of(value: Any) -> str | None:
    """Text as it is, null as null, any other value as canonical JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _texts_of_objects(column: pa.Array) -> pa.Array:
    rows = column.to_pylist()
    return pa.array([None if row is None else _json(dict(row)) for row in rows], pa.string())


def _objects(batch: pa.RecordBatch, plan: Plan) -> pa.Array:
    """One JSON object a row; values that are missing (null, NaN) are left out."""
    made: list[dict[str, Any]] = [
        _present(row) for row in batch.select(list(plan.gathered)).to_pylist()
    ] or [{}] * batch.num_rows
    for key, (first, *others) in plan.inside.items():
        if first == _OBJECT:
            found = [_present(row) for row in batch.select(others).to_pylist()]
        else:
            found = batch.column(first).to_pylist()
        made = [_present({**row, key: value}) for row, value in zip(made, found, strict=True)]
    return pa.array([_json(row) for row in made], pa.string())


def _present(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None and value == value}


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
