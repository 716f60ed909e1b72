"""Which answer did the user react to?"""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

_ATTRIBUTED = """
WITH shown AS (
    SELECT "user", item, "at", max(id) AS id
    FROM (
        SELECT "user", id, "at", unnest(json_extract_string(output, '$.items[*]')) AS item
        FROM predictions
    )
    GROUP BY "user", item, "at"
), open AS (
    SELECT seq, "user", item, "at"
    FROM events SEMI JOIN shown USING ("user", item) WHERE prediction IS NULL
), found AS (
    SELECT open.seq, shown.id
    FROM open ASOF JOIN shown
        ON open."user" = shown."user" AND open.item = shown.item AND open."at" >= shown."at"
    WHERE epoch_us(open."at") - epoch_us(shown."at") <= $days * 86400000000
)
SELECT events.* REPLACE (coalesce(prediction, found.id) AS prediction)
FROM events LEFT JOIN found USING (seq)
"""


def attribute(
    con: DuckDBPyConnection,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    days: float,
) -> DuckDBPyRelation:
    """The events (Event columns and ``seq``), each with the prediction it reacts to, in any order.

    An event that names a prediction keeps it. Else it is the latest one that showed the item to
    the user (output ``{"items": [...]}``) at most ``days`` before the event; of several shown at
    one moment, the one with the largest id. Else none: the event is about the item alone.
    """
    return con.sql(_ATTRIBUTED, params={"days": days})
