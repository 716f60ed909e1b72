"""Answers that end before their end: cut by who left, or by the number of words asked for."""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

_UNFINISHED = """
SELECT rows.seq, rows.sources[1] AS event, rows."user", 'clean.unfinished' AS code,
    0.0::DOUBLE AS factor, '{}' AS detail
FROM rows JOIN events USING (seq) JOIN (
    SELECT id, coalesce(output ->> '$.answers[0]', output ->> '$') AS answer FROM predictions
    WHERE coalesce((output ->> '$.cut')::BOOLEAN, false) OR output ->> '$.end' = 'length'
) AS shown ON shown.id = events.prediction
WHERE rows.sign > 0 AND rows.id = rows.sources[1] AND rows.target = shown.answer
"""


def unfinished(
    con: DuckDBPyConnection,
    rows: DuckDBPyRelation,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
) -> DuckDBPyRelation:
    """Doubts about Example rows (with ``seq``) that like an answer which does not end.

    To learn it would be to learn to stop in the middle of a sentence. A dislike of it holds.
    """
    return con.sql(_UNFINISHED)
