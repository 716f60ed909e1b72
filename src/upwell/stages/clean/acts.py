"""Who said what about what, and since when they are known: what the checks of crowds look at.

A thing is what signals can gather on. Where a task is about items it is the item; where it is
about answers, an answer to one input (``thing``) as well as an answer to whatever input
(``target``).
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

ACTS = ("seq", "event", "user", "side", "t", "sign", "thing", "target", "born")
"""``t`` and ``born`` (the account's first event) in µs; ``thing`` and ``target`` are hashes."""

# Of a correction the right answer is what its user wants learned.
_ACTS = """
SELECT h.seq, h.event, h."user", h.side, h.t, r.sign::TINYINT AS sign,
    hash(r.input, r.target) AS thing, hash(r.target) AS target,
    coalesce(known.born, h.t) AS born
FROM heard AS h
    JOIN (SELECT seq, id, sources, input, target, sign FROM rows WHERE sign IS NOT NULL) AS r
        ON r.seq = h.seq AND h.corrects = (r.id <> r.sources[1])
    LEFT JOIN (
        SELECT "user", min(epoch_us("at")) AS born FROM events GROUP BY "user"
    ) AS known ON known."user" = h."user"
"""


def acts(
    con: DuckDBPyConnection,
    heard: DuckDBPyRelation,
    rows: DuckDBPyRelation,
    events: DuckDBPyRelation,
) -> DuckDBPyRelation:
    """One row (columns ``ACTS``) a signal of ``heard``, with what it says of Example ``rows``."""
    return con.sql(_ACTS)
