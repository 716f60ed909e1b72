"""Outcomes that take their time: silence becomes a no only when the time to act has passed.

Every answer that was shown awaits the kinds of outcome that have a maturity window. An outcome
of that kind, however late, ends the waiting: what was a no in one turn is the user's yes in the
next. Until the window has passed, silence says nothing (``clean.not_mature``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation

KIND = "silence"
"""Kind of the events that stand for silence; its rule says what they weigh."""
_DAY = 86_400_000_000

# seq below 0 marks what nobody sent; it is unique and the same in every turn that sees the answer.
_SILENT = """
WITH waits AS (
    SELECT unnest($kinds) AS kind, unnest($lengths) AS length, unnest(range(len($kinds))) AS number
), shown AS (
    SELECT *, generate_subscripts(items, 1) AS place, unnest(items) AS item
    FROM (
        SELECT id, "user", "at", seq, if(json_array_length(output, '$.items') > 0,
            json_extract_string(output, '$.items[*]'), [NULL]) AS items
        FROM predictions
    )
), outcomes AS (
    SELECT "user", kind, item, prediction, "at" FROM events
    WHERE kind IN (SELECT kind FROM waits) AND "at" < $known::TIMESTAMPTZ
), later AS (
    SELECT "user", kind, item, max("at") AS last FROM outcomes WHERE item IS NOT NULL GROUP BY ALL
), named AS (
    SELECT DISTINCT prediction AS id, kind, item FROM outcomes WHERE prediction IS NOT NULL
)
SELECT s.id || '/' || w.kind || coalesce('/' || s.item, '') AS id, 'upwell' AS source,
    s."user", 'silence' AS kind, make_timestamptz(epoch_us(s."at") + w.length) AS "at",
    to_json({'awaited': w.kind})::VARCHAR AS payload, s.id AS prediction, s.item,
    NULL::DOUBLE AS value, -(((s.seq << 12) + s.place << 4) + w.number) AS seq
FROM shown AS s CROSS JOIN waits AS w
    LEFT JOIN later AS l ON l."user" = s."user" AND l.kind = w.kind AND l.item = s.item
    ANTI JOIN named AS n ON n.id = s.id AND n.kind = w.kind
        AND coalesce(n.item, s.item, '') = coalesce(s.item, '')
WHERE l.last IS NULL OR l.last < s."at"
"""


def silences(
    con: DuckDBPyConnection,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    days: Mapping[str, float],
    known: datetime,
) -> DuckDBPyRelation:
    """Silence to what was shown, as events (Event columns and ``seq`` < 0) of kind ``silence``.

    ``days`` maps kinds of outcome to their windows. There is one event for each shown item (for
    the whole answer where it is no list) and kind without an outcome of the user before ``known``,
    at the moment when its window has passed, which may lie ahead. An outcome belongs to all that
    showed its item to the user before, and to the prediction that it names.
    """
    waits = {"kinds": list(days), "lengths": [round(length * _DAY) for length in days.values()]}
    return con.sql(_SILENT, params={**waits, "known": known})


def mature(silent: DuckDBPyRelation, now: datetime) -> DuckDBPyRelation:
    """Those silences whose window has passed before ``now``."""
    return silent.filter(ColumnExpression("at") < ConstantExpression(now))


def immature(silent: DuckDBPyRelation, now: datetime) -> DuckDBPyRelation:
    """The others, as doubts: ``clean.not_mature``, with what is awaited and until when."""
    waiting = silent.filter(ColumnExpression("at") >= ConstantExpression(now))
    return waiting.project(
        """seq, source || '/' || id AS event, "user", 'clean.not_mature' AS code,
        0.0::DOUBLE AS factor, to_json({'awaited': payload ->> '$.awaited',
        'until': strftime("at", '%Y-%m-%d %H:%M:%S')})::VARCHAR AS detail"""
    )
