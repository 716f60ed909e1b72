"""What conversations tell by how they go on: asking again, asking otherwise, leaving.

Nobody sends these events; they follow from the answers themselves. Each is a weak no to the earlier
answer, and its rule says what it weighs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from duckdb import DuckDBPyConnection, DuckDBPyRelation

KINDS = ("regenerate", "rephrase", "abandon")
SOON = timedelta(minutes=10)
"""Who asks otherwise later than this has something else in mind."""
ALIKE = 0.85
"""Similarity (Jaro and Winkler) of two questions, from which on one is the other in other words."""
_READ = 200
"""Letters of a question that are compared."""

# seq below 0 marks what nobody sent; silences, which share the range, have places from 1.
_IMPLIED = """
WITH said AS (
    SELECT id, "user", "at", seq, input, coalesce((output ->> '$.cut')::BOOLEAN, false) AS cut,
        if(json_valid(input) AND json_type(input) = 'ARRAY', input, NULL) AS told
    FROM (SELECT * REPLACE (coalesce(input ->> '$', '') AS input) FROM predictions)
    WHERE "at" < $known::TIMESTAMPTZ
), asked AS (
    SELECT *, left(coalesce(told ->> '$[#-1].content', input), $read) AS last FROM said
), follow AS (
    SELECT *, lead("at") OVER same AS again, lead("at") OVER goes AS next_at,
        lead(last) OVER goes AS next_last, lead(input) OVER goes AS next_input
    FROM asked
    WINDOW same AS (PARTITION BY "user", input ORDER BY "at", seq),
        goes AS (PARTITION BY "user" ORDER BY "at", seq)
), found AS (
    SELECT *, again AS told_at, 0 AS number FROM follow
    WHERE input <> '' AND again - "at" <= $soon::INTERVAL
    UNION ALL
    SELECT *, next_at, 1 FROM follow
    WHERE next_input <> input AND next_at - "at" <= $soon::INTERVAL
        AND length(last) >= 8 AND length(next_last) >= 8
        AND jaro_winkler_similarity(lower(last), lower(next_last)) >= $alike
    UNION ALL
    SELECT *, "at", 2 FROM follow WHERE cut
)
SELECT id || '/' || $kinds[number + 1] AS id, 'upwell' AS source, "user",
    $kinds[number + 1] AS kind, told_at AS "at", '{}' AS payload, id AS prediction,
    NULL::VARCHAR AS item, NULL::DOUBLE AS value, -((seq << 16) + number) AS seq
FROM found
"""


def implied(
    con: DuckDBPyConnection, predictions: DuckDBPyRelation, known: datetime
) -> DuckDBPyRelation:
    """Events (Event columns and ``seq`` < 0) of ``KINDS`` that answers before ``known`` imply.

    ``regenerate``: the user asked the very same within ``SOON``. ``rephrase``: the next that the
    user asked within it, anew or after the answer, is like the question. ``abandon``: the user
    left while the answer still came.
    """
    told = {"known": known, "read": _READ, "soon": SOON, "alike": ALIKE, "kinds": list(KINDS)}
    return con.sql(_IMPLIED, params=told)
