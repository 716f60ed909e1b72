"""One user who pushes one thing: however often it is said, it counts as a few times.

A user's signals of one sign on one target are limited together, where others' signals give no
reason to expect as many. It bounds what a single account can do to an answer or an item, whatever
the number of inputs it says it about.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

# Chernoff's bound: a share s > p among n is as probable as exp(-n KL(s, p)) at most. In what the
# others make one expect, no user's voice counts for more than $limit signals: or else one who says
# a thing ten thousand times would make everybody else look odd.
_PUSHED = """
WITH people AS (
    SELECT side, "user", count(*) AS n, least(count(*), $limit) AS voice FROM acts GROUP BY ALL
), totals AS (
    SELECT side, sum(voice) AS voices FROM people GROUP BY side
), said AS (
    SELECT side, "user", target, sign, count(*) AS same FROM acts GROUP BY ALL
), pushed AS (
    SELECT *, voice * same / n AS mine,
        sum(voice * same / n) OVER (PARTITION BY side, target, sign) AS whole
    FROM said JOIN people USING (side, "user")
), odd AS (
    SELECT *, same / n AS share, (whole - mine + 0.5) / (voices - voice + 1) AS expected
    FROM pushed JOIN totals USING (side)
    WHERE same > $limit AND voices > voice
), judged AS (
    SELECT *, n * (share * ln(share / expected) + if(share < 1,
        (1 - share) * ln((1 - share) / (1 - expected)), 0)) AS far
    FROM odd WHERE share > expected
)
SELECT acts.seq, acts.event, acts."user", 'clean.pushed' AS code,
    $limit::DOUBLE / same AS factor,
    to_json({'n': same, 'share': round(share, 4), 'others': round(expected, 4),
        'counted': $limit::BIGINT})::VARCHAR AS detail
FROM acts JOIN judged USING (side, "user", target, sign) WHERE far > 13.8
"""


def pushed(con: DuckDBPyConnection, acts: DuckDBPyRelation, limit: int) -> DuckDBPyRelation:
    """Doubts about users who say one thing far more often than others (``clean.pushed``).

    More than ``limit`` signals of one sign on one target, a share of the user's signals that is
    less probable than one in a million among the others' (Chernoff's bound). Together these
    signals then weigh as much as ``limit``. Who is alone is compared with nobody.
    """
    return con.sql(_PUSHED, params={"limit": limit})
