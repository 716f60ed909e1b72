"""Rows to learn from: events that are permitted, with their signals and what was known before.

A row of a label source is a label (D): its sign is null. Every other row is feedback (F) with the
sign of its signal. What says nothing, and a label that its user disliked, has weight 0: it is part
of the user's history and never a target.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from duckdb import (
    ColumnExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    FunctionExpression,
)

# ``part`` 1 of an event is its correction, as an answer of its own that would have been right.
_EXAMPLES = """
WITH groups AS (
    SELECT "user", $group || '=' || value AS name, "at" AS since,
        lead("at", 1, 'infinity'::TIMESTAMPTZ)
            OVER (PARTITION BY "user" ORDER BY "at", seq) AS until
    FROM (
        SELECT "user", "at", seq, payload ->> $pointer AS value
        FROM events WHERE kind = 'user' AND $group <> ''
    )
    WHERE value IS NOT NULL
), told AS (
    SELECT e.*, s.sign, s.weight, s.correction, f.features, g.name AS "group",
        e.source || '/' || e.id AS key,
        e.source IN (SELECT source FROM labelled) AS is_label,
        unnest(if(s.correction IS NULL, [0], [0, 1])) AS part
    FROM events AS e
    SEMI JOIN permitted USING ("user")
    JOIN features AS f USING (seq)
    LEFT JOIN signals AS s USING (seq)
    LEFT JOIN groups AS g
        ON g."user" = e."user" AND g.since <= e."at" AND e."at" < g.until
), rows AS (
    SELECT t.*, p.propensity,
        if(part = 1, -sign, sign) AS said,
        CASE WHEN t.item IS NOT NULL THEN ''
            ELSE coalesce(p.input ->> '$', t.payload ->> '$.input', '') END AS input,
        CASE WHEN part = 1 THEN correction
            WHEN t.item IS NOT NULL THEN t.item
            ELSE coalesce(p.output ->> '$', t.payload ->> '$.target') END AS target
    FROM told AS t LEFT JOIN predictions AS p ON p.id = t.prediction AND p.task = $task
)
SELECT key || if(part = 1, '#correction', '') AS id, "user", $task AS task, input, target,
    if(is_label, NULL, said)::BIGINT AS sign,
    CASE WHEN NOT is_label THEN coalesce(weight, 0.0)
        WHEN said < 0 THEN 0.0 ELSE 1.0 END::DOUBLE AS weight,
    1.0::DOUBLE AS reliability, propensity, coalesce("group", '') AS "group",
    "at", [key] AS sources, features, seq
FROM rows
WHERE target IS NOT NULL
"""


def examples(
    con: DuckDBPyConnection,
    *,
    events: DuckDBPyRelation,
    signals: DuckDBPyRelation,
    features: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    permitted: pa.Array,
    label_sources: Sequence[str],
    task: str,
    group: str,
) -> DuckDBPyRelation:
    """Example columns and ``seq``, in any order; nothing runs until the relation is read.

    An event about an item is a row whose target is the item and whose input is empty. Any other
    is about an answer of ``task``: input and output of the prediction it names, else ``input``
    and ``target`` of its own payload. A correction gives two rows: what was shown, with its sign,
    and what would have been right, with the other sign.

    ``events`` (Event columns, ``seq``) carry the prediction they are attributed to; ``permitted``
    are the users who allow training now; ``group`` names the column of user facts that slices
    are made by (the latest fact no later than the row holds; '' for none). ``signals`` are joined
    by their ``seq`` if they have it, which is much cheaper, else by their event's key.
    """
    packed = FunctionExpression(
        "list_value", *(ColumnExpression(name) for name in features.columns if name != "seq")
    )
    return _joined(
        con,
        task,
        group,
        events=events,
        signals=signals if "seq" in signals.columns else _with_seq(con, events, signals),
        features=features.select(ColumnExpression("seq"), packed.cast("FLOAT[]").alias("features")),
        predictions=predictions,
        permitted=con.from_arrow(pa.table({"user": permitted})),
        labelled=con.from_arrow(pa.table({"source": pa.array(label_sources, pa.string())})),
    )


def _with_seq(
    con: DuckDBPyConnection, events: DuckDBPyRelation, signals: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query(
        "SELECT s.*, e.seq FROM signals AS s JOIN events AS e ON s.event = e.source || '/' || e.id"
    )


def _joined(
    con: DuckDBPyConnection,
    task: str,
    group: str,
    *,
    events: DuckDBPyRelation,
    signals: DuckDBPyRelation,
    features: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    permitted: DuckDBPyRelation,
    labelled: DuckDBPyRelation,
) -> DuckDBPyRelation:
    """The query over its arguments: DuckDB finds relations by the names they have here."""
    pointer = "/" + group.replace("~", "~0").replace("/", "~1")
    return con.sql(_EXAMPLES, params={"task": task, "group": group, "pointer": pointer})
