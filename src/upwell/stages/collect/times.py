"""Every way in which times arrive, to microseconds since 1970 in UTC, strictly.

Accepted: Arrow timestamps with a time zone, ISO 8601 text with an offset, and numbers (or text
of digits) that are seconds since 1970. Nothing is guessed: a time without a zone, a number that
only makes sense as milliseconds, and a time outside 1971 to 2199 are problems of their row.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import EARLIEST, LATEST
from upwell.stages.collect.columns import Mask, Problems, text
from upwell.tables import TIME, micros

_MICROS = 1_000_000
_FIRST, _LAST = micros(EARLIEST), micros(LATEST)
_PER_SECOND = {"s": 1, "ms": 1_000, "us": _MICROS, "ns": 1_000_000_000}
_NUMBER = r"^\s*[+-]?\d+(\.\d*)?\s*$"
_ISO = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"


def times(column: pa.Array, problems: Problems) -> pa.Array:
    """The column ``at`` as ``timestamp[us, UTC]``; rows with a problem are null.

    >>> found = Problems(np.zeros(2, np.int32))
    >>> times(pa.array([881250949, 881250949000]), found).cast(pa.int64()).to_pylist()
    [881250949000000, None]
    >>> found.named
    [('collect.milliseconds', 'at')]
    """
    problems.note(pc.is_null(column), "record.missing", "at")
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind):
        return _zoned(column, problems) if kind.tz else _naive(column, problems)
    if pa.types.is_date(kind):
        return _naive(column, problems)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _seconds(column, problems)
    return _texts(text("at", column, "times"), problems)


def _naive(column: pa.Array, problems: Problems) -> pa.Array:
    problems.note(pc.is_valid(column), "record.naive_time", "at")
    return pa.nulls(len(column), TIME)


def _zoned(column: pa.Array, problems: Problems) -> pa.Array:
    per_second = _PER_SECOND[column.type.unit]
    ticks, valid = _plain(column.cast(pa.int64()))
    # Bounds are compared in the column's own unit, so that no product can overflow.
    first, last = _FIRST * per_second // _MICROS, _LAST * per_second // _MICROS
    good = valid & (ticks >= first) & (ticks < last)
    problems.note(valid & ~good, "record.bad_time", "at")
    ticks = np.where(good, ticks, 0)
    if per_second > _MICROS:
        return _array(ticks // (per_second // _MICROS), good)
    return _array(ticks * (_MICROS // per_second), good)


def _seconds(column: pa.Array, problems: Problems) -> pa.Array:
    """Whole or fractional seconds since 1970."""
    if not pa.types.is_integer(column.type):
        values, valid = _plain(column.cast(pa.float64()))
        finite = np.isfinite(values)
        problems.note(valid & ~finite, "record.not_finite", "at")
        valid = valid & finite
        values = np.where(valid, values, 0.0)
    else:
        values, valid = _plain(column.cast(pa.int64(), safe=False))
    first, last = _FIRST // _MICROS, _LAST // _MICROS
    good = valid & (values >= first) & (values < last)
    milli = valid & ~good & (values >= first * 1000) & (values < last * 1000)
    problems.note(milli, "collect.milliseconds", "at")
    problems.note(valid & ~good & ~milli, "record.bad_time", "at")
    whole = np.floor(np.where(good, values, 0)).astype(np.int64)
    part = np.rint((np.where(good, values, 0) - whole) * _MICROS).astype(np.int64)
    return _array(whole * _MICROS + part, good)


def _texts(column: pa.Array, problems: Problems) -> pa.Array:
    numeric = pc.match_substring_regex(column, _NUMBER)
    if not pc.any(numeric).as_py():
        return _iso(column, problems)
    trimmed = pc.utf8_trim(column, " \t\r\n+")
    counted = pc.if_else(numeric, trimmed, None).cast(pa.float64())
    written = _iso(pc.if_else(numeric, None, column), problems)
    return pc.coalesce(_seconds(counted, problems), written)


def _iso(column: pa.Array, problems: Problems) -> pa.Array:
    plain = pc.match_substring_regex(column, _ISO)
    if pc.all(plain).as_py() is not False:
        try:
            return _zoned(column.cast(TIME), problems)
        except pa.ArrowInvalid:
            pass  # A day such as 31 February: found below, row by row.
    read = [None if entry is None else _parse(entry) for entry in column.to_pylist()]
    for code in sorted({found for found in read if isinstance(found, str)}):
        problems.note(np.array([found == code for found in read]), code, "at")
    ticks = [found if isinstance(found, int) else None for found in read]
    return pa.array(ticks, pa.int64()).cast(TIME)


def _parse(entry: str) -> int | str:
    """Microseconds since 1970, or the code of what is wrong."""
    try:
        at = datetime.fromisoformat(entry.strip())
        if at.tzinfo is None:
            return "record.naive_time"
        ticks = micros(at)
    except ValueError:
        return "record.bad_time" if entry.strip().startswith("0000-") else "collect.unreadable_time"
    except OverflowError:
        return "record.bad_time"
    return ticks if _FIRST <= ticks < _LAST else "record.bad_time"


def _plain(column: pa.Array) -> tuple[npt.NDArray[np.int64], Mask]:
    """Values (0 where null) and which are not null."""
    valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return pc.fill_null(column, 0).to_numpy(zero_copy_only=False), valid


def _array(ticks: npt.NDArray[np.int64], good: Mask) -> pa.Array:
    return pa.array(ticks, pa.int64(), mask=~good).cast(TIME)
