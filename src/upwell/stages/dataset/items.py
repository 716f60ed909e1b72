"""The catalogue: every item that was seen and not deleted, with the text that is known of it."""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

_ITEMS = """
WITH facts AS (
    SELECT item, arg_max(payload, ("at", seq)) AS payload
    FROM events WHERE kind = 'item' GROUP BY item
), named AS (
    SELECT item, json_extract(payload, '$.deleted')::VARCHAR = 'true' AS deleted,
        payload ->> '$.title' AS title,
        if(json_type(payload, '$.genres') = 'ARRAY',
            array_to_string(payload ->> '$.genres[*]', ', '),
            replace(payload ->> '$.genres', '|', ', ')) AS genres,
        array_to_string(list_transform(
            list_filter(
                list_transform(
                    list_filter(json_keys(payload), lambda key: key NOT IN ('title', 'genres')),
                    lambda key: '/' || replace(replace(key, '~', '~0'), '/', '~1')),
                lambda path: json_type(payload, path) = 'VARCHAR'),
            lambda path: payload ->> path), ' | ') AS others
    FROM facts
), seen AS (
    SELECT DISTINCT item FROM events WHERE item IS NOT NULL
)
SELECT item, coalesce(
    nullif(concat_ws(' | ', nullif(title, ''), nullif(genres, ''), nullif(others, '')), ''), item
) AS text
FROM seen LEFT JOIN named USING (item)
WHERE deleted IS NOT TRUE
ORDER BY item
"""


def items(con: DuckDBPyConnection, events: DuckDBPyRelation) -> DuckDBPyRelation:
    """``item`` and ``text`` ("title | genre, genre | …"), one row per item, in order of item.

    ``events`` has Event columns and ``seq``; the latest fact about an item holds. Text fields
    other than title and genres follow in order of their names. An item without facts has its id
    for a text. One that its latest fact calls ``deleted`` is left out; one that is ``hidden``
    stays, for it may be shown again at any moment.
    """
    return con.query(_ITEMS)
