"""One column of input to one column of an event, with the rows that do not fit named.

A column whose type can hold no such value at all is refused as a whole; a value that breaks a
promise is a problem of its row. Everything is done over whole columns, because intake is where
every row of every import passes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import StageError
from upwell.records import LONGEST_ID, NAME
from upwell.tables import canonical_json

Mask = npt.NDArray[np.bool_]
_ZERO = pa.scalar(0, pa.int32())
"""Arrow takes longer to guess the type of a number than to compare a column with it."""
LONGEST_PAYLOAD = 1 << 20
"""Bytes of a payload; what is larger belongs in a file that the payload names."""
_LONGEST = pa.scalar(LONGEST_PAYLOAD, pa.int32())


@dataclass(slots=True)
class Problems:
    """The first problem of each row: 0 for none, else a place in ``named``."""

    first: npt.NDArray[np.int32]
    named: list[tuple[str, str]] = field(default_factory=list)

    def note(self, rows: Any, code: str, column: str) -> None:
        """Rows (a mask, Arrow or numpy; null means no) have a problem unless they had one."""
        if isinstance(rows, pa.Array):
            if not pc.any(rows).as_py():
                return
            rows = pc.fill_null(rows, False).to_numpy(zero_copy_only=False)
        if not rows.any():
            return
        self.named.append((code, column))
        self.first[rows & (self.first == 0)] = len(self.named)


def refuse(name: str, column: pa.Array, expected: str) -> NoReturn:
    """Raise StageError ``collect.wrong_type`` for a whole column."""
    raise StageError("collect.wrong_type", field=name, value=str(column.type), expected=expected)


def text(name: str, column: pa.Array, expected: str = "text") -> pa.Array:
    """A column as text; whole numbers are ids too.

    >>> text("item", pa.array([7, None])).to_pylist()
    ['7', None]
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return text(name, column.dictionary_decode(), expected)
    known = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_integer,
        pa.types.is_null,
    )
    if not any(is_such(kind) for is_such in known):
        refuse(name, column, expected)
    return column if pa.types.is_string(kind) else column.cast(pa.string())


def check_id(name: str, column: pa.Array, problems: Problems, needed: Any) -> None:
    """Note ids that are absent where ``needed``, blank, too long, or hold a NUL."""
    size = pc.binary_length(column)
    blank = pc.or_(pc.equal(size, _ZERO), pc.utf8_is_space(column))
    if needed is None:
        problems.note(blank, "record.missing", name)
    else:
        problems.note(pc.and_(pc.fill_null(blank, True), needed), "record.missing", name)
    if (pc.max(size).as_py() or 0) > LONGEST_ID:
        problems.note(pc.greater(pc.utf8_length(column), LONGEST_ID), "record.bad_id", name)
    problems.note(pc.match_substring(column, "\x00"), "record.bad_id", name)


def check_name(name: str, column: pa.Array, problems: Problems) -> None:
    """Note names that are absent or break ``records.NAME``; each distinct name is read once."""
    problems.note(pc.is_null(column), "record.missing", name)
    encoded = column.dictionary_encode()
    wrong = [not NAME.fullmatch(entry) for entry in encoded.dictionary.to_pylist()]
    if any(wrong):
        problems.note(pa.array(wrong).take(encoded.indices), "record.bad_name", name)


def numbers(name: str, column: pa.Array, problems: Problems) -> pa.Array:
    """A column as float64; numbers that came as text are read, booleans are no numbers."""
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
        read = column.cast(pa.float64(), safe=False)
    elif pa.types.is_decimal(kind):
        read = column.cast(pa.float64())
    else:
        read = _numbers_of_text(name, text(name, column, "numbers"), problems)
    problems.note(pc.invert(pc.is_finite(read)), "record.not_finite", name)
    return read


def _numbers_of_text(name: str, column: pa.Array, problems: Problems) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(column)
    looks = pc.match_substring_regex(
        trimmed, r"^(?i:[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?|nan)$"
    )
    problems.note(pc.invert(looks), "collect.not_a_number", name)
    # float() reads what Arrow's cast refuses, such as a leading plus.
    values = pc.if_else(looks, trimmed, None).to_pylist()
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def payloads(column: pa.Array, problems: Problems, is_canonical: bool = False) -> pa.Array:
    """A column as canonical JSON objects, empty where absent; each distinct text is read once.

    One that ``is_canonical`` was written as such objects, and is read only where that is no proof.
    """
    if column.null_count == len(column) or (is_canonical and not _is_doubtful(column)):
        return pc.fill_null(column.cast(pa.string()), "{}")
    if pa.types.is_nested(column.type):
        column = _payload_texts(column)
    encoded = text("payload", column, "JSON objects").dictionary_encode()
    read = [_payload(entry) for entry in encoded.dictionary.to_pylist()]
    for code in sorted({code for _, code in read if code}):
        wrong = pa.array([found == code for _, found in read])
        problems.note(wrong.take(encoded.indices), code, "payload")
    canonical = pa.array([entry for entry, _ in read], pa.string())
    return pc.fill_null(canonical.take(encoded.indices), "{}")


def _is_doubtful(written: pa.Array) -> bool:
    """Whether a column of canonical objects may hold too long ones, or what is no number."""
    doubtful = pc.or_(
        pc.greater(pc.utf8_length(written), _LONGEST),
        pc.match_substring_regex(written, "NaN|Infinity"),
    )
    return bool(pc.any(doubtful).as_py())


def _payload_texts(column: pa.Array) -> pa.Array:
    if not (pa.types.is_struct(column.type) or pa.types.is_map(column.type)):
        refuse("payload", column, "JSON objects")
    rows = column.to_pylist()
    return pa.array([None if row is None else canonical_json(dict(row)) for row in rows])


def _payload(entry: str) -> tuple[str, str]:
    """The canonical text of a payload and its problem's code, if any."""
    if len(entry) > LONGEST_PAYLOAD:
        return "{}", "collect.too_long"
    try:
        value = json.loads(entry)
        canonical = canonical_json(value)
        canonical.encode()
    except (ValueError, RecursionError):
        return "{}", "collect.bad_payload"
    if not isinstance(value, dict):
        return "{}", "collect.bad_payload"
    if not _is_finite(canonical, value):
        return "{}", "record.not_finite"
    return canonical, ""


def _is_finite(canonical: str, value: object) -> bool:
    if "NaN" not in canonical and "Infinity" not in canonical:
        return True
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
