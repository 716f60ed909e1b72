"""What kinds of feedback share: from a sign per event to rows with the Signal schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import Event, Json, Signal
from upwell.settings import FeedbackRule
from upwell.tables import event_keys, schema, to_table

_NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
# Of a named type: Arrow takes longer to guess one than to compare a column.
_YES, _NO, _NOTHING = (pa.scalar(sign, pa.int64()) for sign in (1, -1, None))


def by_value(events: pa.Table, rule: FeedbackRule) -> pa.ChunkedArray:
    """+1 where the value is at least ``good``, −1 where at most ``bad``, else null.

    Values outside ``low`` … ``high``, missing ones and NaN say nothing.
    """
    value = events["value"]
    sign = pa.chunked_array([pa.nulls(len(value), pa.int64())])
    if rule.good is not None:
        sign = pc.if_else(_true(pc.greater_equal(value, _number(rule.good))), _YES, sign)
    if rule.bad is not None:
        sign = pc.if_else(_true(pc.less_equal(value, _number(rule.bad))), _NO, sign)
    return pc.if_else(in_scale(value, rule), sign, _NOTHING)


def in_scale(value: pa.ChunkedArray, rule: FeedbackRule) -> pa.ChunkedArray:
    """Which values are finite and within the rule's ``low`` and ``high``."""
    inside = _true(pc.is_finite(value))
    if rule.low is not None:
        inside = pc.and_(inside, _true(pc.greater_equal(value, _number(rule.low))))
    if rule.high is not None:
        inside = pc.and_(inside, _true(pc.less_equal(value, _number(rule.high))))
    return inside


def always(events: pa.Table, sign: int) -> pa.ChunkedArray:
    """The same sign for every event."""
    return pa.chunked_array([pa.repeat(pa.scalar(sign, pa.int64()), len(events))])


def signals_of(
    events: pa.Table,
    sign: pa.ChunkedArray,
    rule: FeedbackRule,
    correction: pa.ChunkedArray | None = None,
) -> pa.Table:
    """Rows with the Signal schema of the events whose sign is not null, in order."""
    rows = len(events)
    columns = [
        event_keys(events),
        events["prediction"],
        sign,
        pa.repeat(pa.scalar(rule.weight, pa.float64()), rows),
        pa.nulls(rows, pa.string()) if correction is None else correction,
    ]
    named = dict(zip(schema(Signal).names, columns, strict=True))
    return pa.table(named).filter(pc.is_valid(sign)).cast(schema(Signal))


def toy_of(
    kind: str, rows: Sequence[tuple[float | None, Mapping[str, Json], int | None]]
) -> pa.Table:
    """Events of one kind with these values and payloads, and the ``sign`` each must get."""
    events = [
        Event(f"{kind}-{n}", "toy", f"user-{n % 2}", kind, _NOON + timedelta(minutes=n),
              payload, item=f"item-{n}", value=value)
        for n, (value, payload, _) in enumerate(rows)
    ]  # fmt: skip
    signs = pa.array([sign for _, _, sign in rows], pa.int64())
    return to_table(Event, events).append_column("sign", signs)


def _number(bound: float) -> pa.DoubleScalar:
    return pa.scalar(bound, pa.float64())


def _true(answer: pa.ChunkedArray) -> pa.ChunkedArray:
    """No answer is no."""
    return pc.fill_null(answer, False)
