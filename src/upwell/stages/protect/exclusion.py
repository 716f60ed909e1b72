"""What an excluded user or source did no longer counts; nothing of anybody else is touched."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from pyarrow import compute as pc

_COUNTING = """
SELECT * FROM events
    ANTI JOIN excluded_users ON excluded_users.name = events."user"
    ANTI JOIN excluded_sources ON excluded_sources.name = events.source
"""


def counting(
    con: DuckDBPyConnection,
    events: DuckDBPyRelation,
    users: Sequence[str],
    sources: Sequence[str],
) -> DuckDBPyRelation:
    """The events of everybody but ``users`` (pseudonyms) and ``sources``, in any order."""
    if not users and not sources:
        return events
    return _left(con, events, con.from_arrow(_names(users)), con.from_arrow(_names(sources)))


def rows_of(rows: pa.Table, users: Sequence[str], sources: Sequence[str]) -> int:
    """How many Example rows are of these users (pseudonyms), or made of these sources' events.

    >>> rows = pa.table({"user": ["a", "b"], "sources": [["web/1"], ["app/1", "bot/7"]]})
    >>> rows_of(rows, ["a"], []), rows_of(rows, [], ["bot"]), rows_of(rows, ["a"], ["bot"])
    (1, 1, 2)
    """
    if not len(rows):
        return 0
    found = pc.is_in(rows["user"].combine_chunks(), pa.array(users, pa.string()))
    lists = rows["sources"].combine_chunks()
    # A source's name holds no slash, so what stands before the first one is the source.
    named = pc.list_element(pc.split_pattern(pc.list_flatten(lists), "/", max_splits=1), 0)
    owners = pc.list_parent_indices(lists)
    hit = pc.unique(owners.filter(pc.is_in(named, pa.array(sources, pa.string()))))
    by_source = pc.is_in(pa.array(range(len(rows)), owners.type), hit)
    return int(pc.sum(pc.or_(found, by_source)).as_py() or 0)


def _names(names: Sequence[str]) -> pa.Table:
    return pa.table({"name": pa.array(names, pa.string())})


def _left(
    con: DuckDBPyConnection,
    events: DuckDBPyRelation,
    excluded_users: DuckDBPyRelation,
    excluded_sources: DuckDBPyRelation,
) -> DuckDBPyRelation:
    return con.query(_COUNTING)
