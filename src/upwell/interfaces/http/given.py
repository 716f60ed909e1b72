"""Rows as a request gave them: mappings with an event's fields, and rows that could not be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.strict import Reader, flaw_of, parts_of
from upwell.settings import HttpSettings
from upwell.stages.collect.intake import rows_to_table
from upwell.stages.collect.rows import LONGEST_RAW, RAW, raw_json
from upwell.tables import PROBLEM


@dataclass(frozen=True, slots=True)
class Bad:
    """A row that cannot be read: the error's code, the field and value to blame, and its text."""

    code: str
    field: str
    value: str
    raw: str


Row: TypeAlias = "Mapping[str, object] | Bad"


def table_of(rows: Sequence[Row]) -> pa.Table:
    r"""A table for ``Upwell.capture`` with one row for each; whatever a row holds, nothing raises.

    >>> table_of([{"id": "1"}, Bad("http.not_json", "", "{", "{")])["_problem"].to_pylist()
    [None, 'http.not_json\t\t{']
    """
    table = rows_to_table([{} if isinstance(row, Bad) else row for row in rows])
    wrong = {place: row for place, row in enumerate(rows) if isinstance(row, Bad)}
    if not wrong:
        return table
    problems, raws = table[PROBLEM].to_pylist(), table[RAW].to_pylist()
    for place, bad in wrong.items():
        problems[place] = "\t".join((bad.code, _line(bad.field), _line(bad.value)))
        raws[place] = bad.raw
    for name, cells in ((PROBLEM, problems), (RAW, raws)):
        where = table.schema.get_field_index(name)
        table = table.set_column(where, name, pa.array(cells, pa.string()))
    return table


@dataclass(frozen=True, slots=True)
class Parser:
    """Reads JSON texts within limits: a text that is none raises, a flawed row becomes ``Bad``."""

    limits: HttpSettings

    def document(self, text: str) -> object:
        """The value of a JSON text. Raises RequestError 400 where it is none."""
        try:
            return Reader(self.limits.names).read(text)
        except RecursionError:
            raise RequestError("http.too_deep", 400, field="", value=self.limits.depth) from None
        except ValueError as error:
            raise RequestError("http.not_json", 400, field="", value=_problem(error)) from None

    def mapping(self, text: str) -> dict[str, object]:
        """A sound JSON object. Raises RequestError 400 for anything else."""
        found = self.document(text)
        flaw = flaw_of(found, self.limits.depth)
        if flaw is not None:
            raise RequestError(flaw.code, 400, field=flaw.field, value=flaw.value)
        if not isinstance(found, dict):
            raise RequestError("http.no_object", 400)
        return found

    def row(self, value: object) -> Row:
        """One row of a document that was read."""
        flaw = flaw_of(value, self.limits.depth)
        if flaw is not None:
            return Bad(flaw.code, flaw.field, flaw.value, _raw(value))
        if not isinstance(value, dict):
            return Bad("collect.not_a_row", "", str(value), _raw(value))
        return value

    def line(self, text: str) -> Row:
        """The row of one JSON text."""
        try:
            return self.row(self.document(text))
        except RequestError as error:
            value = str(error.details.get("value", ""))
            return Bad(error.code, "", value, text[:LONGEST_RAW])

    def elements(self, text: str) -> list[Row]:
        """The rows of a JSON list that a parser as a whole refuses for its depth."""
        return [self.line(part) for part in parts_of(text)]


def counted(rows: list[Row], limits: HttpSettings) -> list[Row]:
    """The rows. Raises RequestError 413 for too many, 400 for none."""
    if len(rows) > limits.batch_events:
        raise RequestError("http.too_many", 413, longest=limits.batch_events)
    if not rows:
        raise RequestError("http.empty", 400)
    return rows


def readable(data: bytes) -> str:
    """Bytes as text of bounded length, to be kept for people."""
    return data[:LONGEST_RAW].decode("utf-8", "replace").replace("\x00", "\\0")


def _raw(value: object) -> str:
    return raw_json(value if isinstance(value, Mapping) else {"row": value})


def _line(text: str) -> str:
    return ascii(text[:80])[1:-1]


def _problem(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} ({error.pos})"
    return type(error).__name__
