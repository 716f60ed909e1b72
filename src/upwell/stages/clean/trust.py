"""From signals to what each one counts: every doubt keeps its reason.

The checks stand in an order, and each sees only what those before it left: what a user says
twice or takes back, what no hand gives, one sign for ever, far more than others, and at last the
cap. The factors of a signal multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from duckdb import (
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    Expression,
    StarExpression,
)

from upwell.settings import TrustSettings
from upwell.stages.clean.consistency import DOUBTS, inconsistent
from upwell.stages.clean.spam import beyond, bursts, excessive, monotone
from upwell.tables import CORRECTED

Check: TypeAlias = Callable[[DuckDBPyConnection, DuckDBPyRelation], DuckDBPyRelation]

# The row of what was shown has the event's own key for an id; a correction has one more row.
_HEARD = """
SELECT said.seq, sources[1] AS event, "user", side, epoch_us("at") AS t, sign::TINYINT AS sign,
    corrected.seq IS NOT NULL AS corrects, hash(input, target) AS about
FROM said LEFT JOIN (
    SELECT DISTINCT seq FROM said WHERE id = sources[1] || '{corrected}'
) AS corrected USING (seq)
WHERE sign IS NOT NULL AND weight > 0 AND id = sources[1] AND said.seq >= 0
"""
_UNHEARD = """
SELECT s.seq, s.event, e."user",
    CASE WHEN e.prediction IS NULL THEN 'clean.no_answer'
        WHEN p.id IS NULL THEN 'clean.unknown_prediction' ELSE 'clean.no_row' END AS code,
    0.0::DOUBLE AS factor,
    to_json({'prediction': left(coalesce(e.prediction, ''), 64)})::VARCHAR AS detail
FROM signals AS s JOIN events AS e USING (seq) SEMI JOIN permitted ON permitted."user" = e."user"
    ANTI JOIN rows ON rows.seq = s.seq
    LEFT JOIN predictions AS p ON p.id = e.prediction
WHERE e.item IS NULL OR $about <> 'item'
"""
_TRUSTED = """
SELECT rows.* REPLACE (
    weight * coalesce(found.factor, 1.0) AS weight,
    coalesce(rated.reliability, rows.reliability) AS reliability)
FROM rows LEFT JOIN (
    SELECT seq, product(factor) AS factor FROM doubts GROUP BY seq
) AS found USING (seq) LEFT JOIN rated ON rated.seq = rows.seq AND sign IS NOT NULL
"""


def heard(
    con: DuckDBPyConnection, rows: DuckDBPyRelation, judged: Expression, as_of: datetime | None
) -> DuckDBPyRelation:
    """The signals among Example rows (with ``seq``) that can be doubted: columns ``HEARD``.

    Labels, context and implied signals (``seq`` below 0) cannot. ``judged`` says which rows a
    model is judged by; of the others those from ``as_of`` on are left out.
    """
    said = rows.select(StarExpression(), judged.alias("side"))
    if as_of is not None:
        said = said.filter(
            ColumnExpression("side") | (ColumnExpression("at") < ConstantExpression(as_of))
        )
    return con.query(_HEARD.format(corrected=CORRECTED))


def doubted(
    con: DuckDBPyConnection, space: Path, heard: DuckDBPyRelation, settings: TrustSettings
) -> DuckDBPyRelation:
    """Doubts about the signals of ``heard``, as ``settings`` say: columns ``DOUBTS``.

    What is read often is kept in ``space`` as Parquet; memory holds no more than DuckDB may.
    """
    checks: tuple[Check, ...] = (
        inconsistent,
        lambda con, left: bursts(con, left, settings.per_second, settings.per_minute),
        lambda con, left: monotone(con, left, settings.identical),
        lambda con, left: excessive(con, left, settings.identical),
        lambda con, left: beyond(con, left, settings.cap),
    )
    left, found = stored(con, heard, space / "heard.parquet"), none(con)
    for number, check in enumerate(checks):
        doubts = stored(con, check(con, left).select(*DOUBTS), space / f"doubts-{number}.parquet")
        left, found = undoubted(con, left, doubts), found.union(doubts)
    return found


def undoubted(
    con: DuckDBPyConnection, heard: DuckDBPyRelation, doubts: DuckDBPyRelation
) -> DuckDBPyRelation:
    """The signals of ``heard`` that no doubt has left without weight."""
    return con.query("SELECT * FROM heard ANTI JOIN (FROM doubts WHERE factor = 0) USING (seq)")


def unheard(
    con: DuckDBPyConnection,
    signals: DuckDBPyRelation,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    rows: DuckDBPyRelation,
    permitted: DuckDBPyRelation,
    about: str,
) -> DuckDBPyRelation:
    """Doubts about signals of ``permitted`` users that became no row: they say nothing, and stay.

    ``clean.unknown_prediction``: the answer that the event names is not known here.
    ``clean.no_answer``: it names none and does not tell what the answer was. ``clean.no_row``:
    the answer is known, but not of a kind that this task learns from.
    """
    return con.sql(_UNHEARD, params={"about": about})


def trusted(
    con: DuckDBPyConnection,
    rows: DuckDBPyRelation,
    doubts: DuckDBPyRelation,
    rated: DuckDBPyRelation | None = None,
) -> DuckDBPyRelation:
    """The rows with the weight that is left of each, and the reliability of who gave them.

    ``rated`` has ``seq`` and ``reliability`` in [0, 1]; what is not in it keeps its own. The two
    rows of a correction share their event's factor and reliability. Labels never change.
    """
    if rated is None and not doubts.limit(1).fetchall():
        return rows
    if rated is None:
        rated = con.sql("SELECT 0::BIGINT AS seq, 1.0::DOUBLE AS reliability LIMIT 0")
    return con.query(_TRUSTED)


def totals(doubts: DuckDBPyRelation) -> Mapping[str, int]:
    """How many signals each code has touched, the most frequent first."""
    counted = doubts.aggregate("code, count(*)::BIGINT AS n", "code").order("n DESC, code")
    return {str(code): int(n) for code, n in counted.fetchall()}


def none(con: DuckDBPyConnection) -> DuckDBPyRelation:
    """No doubts at all."""
    return con.sql(
        """SELECT 0::BIGINT AS seq, '' AS event, '' AS "user", '' AS code,
        1.0::DOUBLE AS factor, '{}' AS detail LIMIT 0"""
    )


def stored(con: DuckDBPyConnection, rows: DuckDBPyRelation, path: Path) -> DuckDBPyRelation:
    """The same rows, kept at ``path`` as Parquet: cheap to read again and again."""
    rows.write_parquet(str(path))
    return con.read_parquet(str(path))
