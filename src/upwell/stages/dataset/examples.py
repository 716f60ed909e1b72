"""Rows to learn from: events that are permitted, with their signals and what was known before.

What a row is about follows from its task. ``item``: the target is the item, the input is empty.
``answer``: the target is the answer to an input, taken from the event's own payload (``input``,
``target``), else from the prediction it names. ``value``: the input is an item, the target the
number that somebody gave it, or that was shown.

A row of a label source is a label (D): its sign is null; so is every event of kind ``label`` about
an answer or a value, and every value itself. Every other row is feedback (F) with the sign of its
signal. What says nothing, and a label that its user disliked, has weight 0: it is part of the
user's history and never a target.

A label about an answer may have no user, when nobody's behaviour is in it (a file that was labelled
by hand). It needs no consent, and counts as a user of its own, told by its input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import pyarrow as pa
from duckdb import (
    ColumnExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    FunctionExpression,
)

from upwell.tables import CORRECTED

About: TypeAlias = Literal["item", "answer", "value"]
Scale: TypeAlias = "tuple[float | None, float | None]"

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
    FROM {permitted}
    JOIN features AS f USING (seq)
    LEFT JOIN signals AS s USING (seq)
    LEFT JOIN groups AS g
        ON g."user" = e."user" AND g.since <= e."at" AND e."at" < g.until
), shown AS (
    SELECT id AS shown_as, propensity, input ->> '$' AS asked,
        if(json_exists(output, '$.answers'), output ->> '$.answers[0]', output ->> '$') AS answer,
        coalesce(json_array_length(output, '$.answers'), 1) = 1 AS alone
    FROM predictions WHERE task = $task
), rows AS ({rows})
SELECT key || if(part = 1, '{corrected}', '') AS id, "user", $task AS task, input, target,
    if(is_label, NULL, said)::BIGINT AS sign,
    CASE WHEN NOT is_label THEN coalesce(weight, 0.0)
        WHEN said < 0 THEN 0.0 ELSE 1.0 END::DOUBLE AS weight,
    1.0::DOUBLE AS reliability, propensity, coalesce("group", '') AS "group",
    "at", [key] AS sources, features, seq
FROM rows
WHERE target IS NOT NULL
"""

_PERMITTED = {
    "item": 'events AS e SEMI JOIN permitted USING ("user")',
    "answer": """(
        SELECT * FROM events WHERE kind NOT IN ('item', 'user')
            AND ("user" IN (SELECT "user" FROM permitted) OR "user" LIKE '~%')
    ) AS e""",
    "value": 'events AS e SEMI JOIN permitted USING ("user")',
}

# The probability of a list of several answers is not that of its first, which is what is judged.
_ROWS = {
    "item": """
        SELECT t.*, s.propensity, if(part = 1, -sign, sign) AS said, '' AS input,
            if(part = 1, correction, t.item) AS target
        FROM told AS t LEFT JOIN shown AS s ON s.shown_as = t.prediction
        WHERE t.item IS NOT NULL
    """,
    "answer": """
        SELECT t.* EXCLUDE (is_label), is_label OR t.kind = 'label' AS is_label,
            coalesce(t.payload ->> '$.target', s.answer) AS answered,
            correction IS NOT NULL AND trim(correction) = trim(answered) AS is_same,
            if(part = 1 OR is_same, -sign, sign) AS said,
            coalesce(t.payload ->> '$.input', s.asked) AS input,
            if(part = 1, correction, answered) AS target,
            if(s.alone AND target = s.answer AND input = s.asked, s.propensity, NULL) AS propensity
        FROM told AS t LEFT JOIN shown AS s ON s.shown_as = t.prediction
        WHERE trim(input) <> '' AND trim(target) <> ''
            AND NOT (part = 1 AND coalesce(is_same, false))
    """,
    "value": """
        SELECT t.* EXCLUDE (is_label, sign),
            t.item IS NOT NULL AND part = 0 AND coalesce(t.value BETWEEN low AND high, false)
                AS is_value,
            is_label OR t.kind = 'label' OR is_value AS is_label,
            CASE WHEN is_value THEN NULL WHEN part = 1 THEN -sign ELSE sign END AS said,
            coalesce(t.payload ->> '$.input', t.item, s.asked) AS input,
            CASE WHEN part = 1 THEN correction WHEN is_value THEN t.value::VARCHAR
                WHEN t.kind = 'ask' THEN ''
                ELSE coalesce(t.payload ->> '$.target', s.answer) END AS target,
            if(s.alone AND target = s.answer AND input = s.asked, s.propensity, NULL) AS propensity
        FROM told AS t LEFT JOIN shown AS s ON s.shown_as = t.prediction
            LEFT JOIN scales ON scales.kind = t.kind
        WHERE input <> ''
    """,
}

_OWNED = """
SELECT * REPLACE (
    if("user" = '' AND kind = 'label', '~' || left(sha256(payload ->> '$.input'), 31), "user")
        AS "user"
)
FROM events
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
    about: About = "item",
    scales: Mapping[str, Scale] | None = None,
) -> DuckDBPyRelation:
    """Example columns and ``seq``, in any order; nothing runs until the relation is read.

    A correction gives two rows: what was shown, with its sign, and what would have been right,
    with the other sign; one that leaves an answer as it was is a yes to it. An event that names no
    answer, item or input that is known gives none.
    Rows about answers know nothing of who asks: their features are empty.

    ``events`` (Event columns, ``seq``) carry the prediction they are attributed to; ``permitted``
    are the users who allow training now; ``group`` names the column of user facts that slices
    are made by (the latest fact no later than the row holds; '' for none). ``signals`` are joined
    by their ``seq`` if they have it, which is much cheaper, else by their event's key. ``scales``
    are the kinds of event whose value rates an item, each with the ends of its scale.
    """
    return _joined(
        con,
        _EXAMPLES.format(permitted=_PERMITTED[about], rows=_ROWS[about], corrected=CORRECTED),
        task,
        group,
        events=events,
        signals=signals if "seq" in signals.columns else _with_seq(con, events, signals),
        features=_packed(events, features, about),
        predictions=predictions,
        permitted=con.from_arrow(pa.table({"user": permitted})),
        labelled=con.from_arrow(pa.table({"source": pa.array(label_sources, pa.string())})),
        scales=con.from_arrow(_scales(scales or {})),
    )


def owned(con: DuckDBPyConnection, events: DuckDBPyRelation) -> DuckDBPyRelation:
    """The events; each label that has no user gets one of its own, told by its input."""
    return con.sql(_OWNED)


def _packed(events: DuckDBPyRelation, features: DuckDBPyRelation, about: About) -> DuckDBPyRelation:
    """``seq`` and ``features`` as one list; empty where rows know nothing of who asks."""
    if about == "answer":
        return events.project("seq, []::FLOAT[] AS features")
    names = (ColumnExpression(name) for name in features.columns if name != "seq")
    packed = FunctionExpression("list_value", *names).cast("FLOAT[]")
    return features.select(ColumnExpression("seq"), packed.alias("features"))


def _scales(scales: Mapping[str, Scale]) -> pa.Table:
    ends = [(low, high) for low, high in scales.values()]
    lows = [float("-inf") if low is None else low for low, _ in ends]
    highs = [float("inf") if high is None else high for _, high in ends]
    kinds = pa.array(list(scales), pa.string())
    columns = {"low": pa.array(lows, pa.float64()), "high": pa.array(highs, pa.float64())}
    return pa.table({"kind": kinds, **columns})


def _with_seq(
    con: DuckDBPyConnection, events: DuckDBPyRelation, signals: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query(
        "SELECT s.*, e.seq FROM signals AS s JOIN events AS e ON s.event = e.source || '/' || e.id"
    )


def _joined(
    con: DuckDBPyConnection,
    query: str,
    task: str,
    group: str,
    *,
    events: DuckDBPyRelation,
    signals: DuckDBPyRelation,
    features: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    permitted: DuckDBPyRelation,
    labelled: DuckDBPyRelation,
    scales: DuckDBPyRelation,
) -> DuckDBPyRelation:
    """The query over its arguments: DuckDB finds relations by the names they have here."""
    pointer = "/" + group.replace("~", "~0").replace("/", "~1")
    return con.sql(query, params={"task": task, "group": group, "pointer": pointer})
