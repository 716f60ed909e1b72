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
_READ = 2000
"""Letters of a question that are compared."""
AGAIN = 3
"""How often asking the same again says something: a script that asks for ever dislikes nothing."""
_SMALL = (
    "a an and are be can could did do does for how i in is it me my of on or please should tell "
    "that the this to was were what when where which who why will with would you your "
    "的 了 吗 呢 我 你 请 是 在 有 什 么 怎 和"
)
"""Words that a question can gain or lose and still ask the same."""

# seq below 0 marks what nobody sent; silences, which share the range, have places from 1.
_IMPLIED = r"""
WITH said AS (
    SELECT id, "user", "at", seq, input, coalesce((output ->> '$.cut')::BOOLEAN, false) AS cut,
        if(json_valid(input) AND json_type(input) = 'ARRAY', input, NULL) AS told
    FROM (SELECT * REPLACE (coalesce(input ->> '$', '') AS input) FROM predictions)
    WHERE "at" < $known::TIMESTAMPTZ
), asked AS (
    SELECT *, lower(left(coalesce(told ->> '$[#-1].content', input), $read)) AS last FROM said
), worded AS (
    SELECT *, list_filter(list_distinct(regexp_extract_all(
        regexp_replace(last, '([\p{Han}\p{Hiragana}\p{Katakana}])', ' \1 ', 'g'), '[\p{L}\p{N}]+'
    )), lambda word: NOT list_contains($small, word)) AS words
    FROM asked
), follow AS (
    SELECT *, lead("at") OVER same AS again, row_number() OVER same AS place,
        lead("at") OVER goes AS next_at, lead(last) OVER goes AS next_last,
        lead(words) OVER goes AS next_words, lead(input) OVER goes AS next_input
    FROM worded
    WINDOW same AS (PARTITION BY "user", input ORDER BY "at", seq),
        goes AS (PARTITION BY "user" ORDER BY "at", seq)
), found AS (
    SELECT *, again AS told_at, 0 AS number FROM follow
    WHERE input <> '' AND again - "at" <= $soon::INTERVAL AND place <= $again
    UNION ALL
    SELECT *, next_at, 1 FROM follow
    WHERE next_input <> input AND next_at - "at" <= $soon::INTERVAL
        AND trim(next_last) <> trim(last)
        AND least(len(words), len(next_words)) >= 2
        AND 2 * least(len(words), len(next_words)) >= greatest(len(words), len(next_words))
        AND (list_has_all(words, next_words) OR list_has_all(next_words, words))
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

    ``regenerate``: the user asked the very same within ``SOON``, ``AGAIN`` times at most.
    ``rephrase``: the next that the user asked within it, anew or after the answer, has the words
    of the question, in another order, with some more or fewer: where one word stands in another's
    place, something else is asked ("the capital of France", "of Spain"). Synonyms are not seen.
    ``abandon``: the user left while the answer still came.
    """
    told = {"known": known, "read": _READ, "soon": SOON, "again": AGAIN, "kinds": list(KINDS),
            "small": _SMALL.split()}  # fmt: skip
    return con.sql(_IMPLIED, params=told)


_OVERRULED = """
SELECT seq, sources[1] AS event, "user", 'clean.overruled' AS code, 0.0::DOUBLE AS factor,
    '{}' AS detail
FROM rows SEMI JOIN (
    SELECT "user", input, target FROM rows WHERE sign > 0 AND weight > 0
) AS liked USING ("user", input, target)
WHERE seq < 0 AND sign < 0
"""


def overruled(con: DuckDBPyConnection, rows: DuckDBPyRelation) -> DuckDBPyRelation:
    """Doubts about what is implied of Example rows (with ``seq``): their user said yes to it."""
    return con.sql(_OVERRULED)
