"""Which rows have to go: those of users who were forgotten, or those that are past their time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import pyarrow as pa
from pyarrow import compute as pc

Gone: TypeAlias = Callable[[pa.Table], pa.ChunkedArray]
"""Of a table with columns ``user`` and ``at``, which rows must not stay."""
Holding: TypeAlias = "Mapping[str, Mapping[str, int] | None]"
"""Snapshots that hold such rows: how many, by user; None where a snapshot cannot be read."""
COLUMNS = ["user", "at"]


def of_users(users: Sequence[str]) -> Gone:
    """The rows of these users (pseudonyms)."""
    names = pa.array(users, pa.string())
    return lambda rows: pc.is_in(rows["user"], names)


def before(at: datetime) -> Gone:
    """The rows of anybody from before a moment; what is nobody's has no end.

    >>> from datetime import UTC
    >>> old, new = (datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2))
    >>> rows = pa.table({"user": ["ann", "", "ann"], "at": [old, old, new]})
    >>> before(new)(rows).to_pylist()
    [True, False, False]
    """
    return lambda rows: pc.and_(pc.less(rows["at"], pa.scalar(at)), pc.not_equal(rows["user"], ""))


def counted(rows: pa.Table, gone: Gone) -> dict[str, int]:
    """How many rows must not stay, by user."""
    users = rows.filter(gone(rows))["user"].combine_chunks()
    return {one["values"]: one["counts"] for one in pc.value_counts(users).to_pylist()}


def left(rows: pa.Table, gone: Gone) -> pa.Table:
    """The rows that stay."""
    return rows.filter(pc.invert(gone(rows)))
