"""What each unit of a trial made of the version it met: one row a unit, each counted once.

A unit is a user, or a user on one day where the version is drawn anew every day. It got the
version of its first answer. Its reward is the mean over its answers in the ``days`` after the
first: +1 … −1 as its own reactions in that time say, 0 for an answer that met silence. (Leaving
silence out would favour a version that silences those who dislike it.) A unit counts when its
days are over, so what was counted never changes and looking often is no cheating.
"""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

UNITS = pa.schema(
    [
        ("unit", pa.string()),
        ("challenger", pa.bool_()),
        ("chance", pa.float64()),
        ("reward", pa.float64()),
        ("before", pa.float64()),
    ]
)
"""``before``: the user's mean reward in the time before the trial, null where there was none."""

_UNITS = """
WITH asked AS (
    SELECT id, "user", model, "at", output ->> '$.trial.id' AS trial,
        (output ->> '$.trial.chance')::DOUBLE AS chance,
        "user" || CASE WHEN $daily THEN strftime("at", '|%Y-%m-%d') ELSE '' END AS unit
    FROM predictions SEMI JOIN permitted USING ("user")
    WHERE "at" >= $early AND "at" < $now
), said AS (
    SELECT signals.prediction, events."at", signals.sign * least(signals.weight, 1.0) AS reward
    FROM signals JOIN events USING (seq)
    JOIN asked ON signals.prediction = asked.id AND events."user" = asked."user"
), begun AS (
    SELECT unit, any_value("user") AS "user", min("at") AS since,
        arg_min(model, ("at", id)) = $challenger AS challenger,
        arg_min(chance, ("at", id)) AS chance
    FROM asked WHERE trial = $trial GROUP BY unit
    HAVING epoch_us(min("at")) + $days * 86400000000 <= epoch_us($now)
), heard AS (
    SELECT asked.id, begun.unit, avg(said.reward) AS reward
    FROM asked JOIN begun USING (unit)
    LEFT JOIN said ON said.prediction = asked.id
        AND epoch_us(said."at") <= epoch_us(begun.since) + $days * 86400000000
    WHERE asked.trial = $trial
        AND epoch_us(asked."at") <= epoch_us(begun.since) + $days * 86400000000
    GROUP BY asked.id, begun.unit
), won AS (
    SELECT unit, avg(coalesce(reward, 0.0)) AS reward FROM heard GROUP BY unit
), earlier AS (
    SELECT "user", avg(coalesce(reward, 0.0)) AS before
    FROM (
        SELECT asked.id, asked."user", avg(said.reward) AS reward
        FROM asked LEFT JOIN said ON said.prediction = asked.id AND said."at" < $started
        WHERE asked."at" < $started GROUP BY asked.id, asked."user"
    )
    GROUP BY "user"
)
SELECT unit, challenger, chance, reward, before
FROM begun JOIN won USING (unit) LEFT JOIN earlier USING ("user")
ORDER BY since, unit
"""


def units(
    con: DuckDBPyConnection,
    *,
    predictions: DuckDBPyRelation,
    events: DuckDBPyRelation,
    signals: DuckDBPyRelation,
    permitted: DuckDBPyRelation,
    trial: str,
    challenger: str,
    daily: bool,
    early: datetime,
    started: datetime,
    now: datetime,
    days: float,
) -> pa.Table:
    """Rows of ``UNITS`` in the order in which the units began.

    Only users in ``permitted`` (column ``user``) are counted. ``signals`` and ``events`` are tied
    by ``seq``; reactions of anybody but the user who was asked do not count. What happened from
    ``early`` to ``started`` is the time before.
    """
    asked = {
        "trial": trial, "challenger": challenger, "daily": daily, "days": days,
        "early": early, "started": started, "now": now,
    }  # fmt: skip
    return con.sql(_UNITS, params=asked).to_arrow_table().cast(UNITS)
