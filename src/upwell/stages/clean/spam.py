"""Signals that no hand gives: bursts, one sign for ever, far more than anybody else, too many."""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

# A time on the full hour is most likely a date, or an hour, whose minutes nobody knows.
_BURSTS = """
WITH paced AS (
    SELECT seq, event, "user", t, t - lag(t, {per_second}) OVER own AS second,
        t - lag(t, {per_minute}) OVER own AS minute
    FROM heard
    WINDOW own AS (PARTITION BY "user", side ORDER BY t, seq)
)
SELECT seq, event, "user",
    if(second < 1000000, 'clean.same_second', 'clean.burst') AS code, 0.0::DOUBLE AS factor,
    to_json({{'n': if(second < 1000000, {per_second}, {per_minute}) + 1,
        'seconds': if(second < 1000000, second, minute) / 1e6,
        'limit': if(second < 1000000, {per_second}, {per_minute})}})::VARCHAR AS detail
FROM paced
WHERE t % 3600000000 <> 0 AND (second < 1000000 OR minute < 60000000)
"""

# ``far`` is the Chernoff bound: among n signs of which a share p is expected to be the same, a
# share s > p or more is as probable as exp(-n KL(s, p)) at most. No user's voice counts for more
# than $identical signals in what is expected of the others.
_MONOTONE = """
WITH people AS (
    SELECT "user", side, count(*) AS n, if(2 * count(*) FILTER (sign > 0) >= n, 1, -1) AS usual,
        greatest(count(*) FILTER (sign > 0), count(*) FILTER (sign < 0)) AS same
    FROM heard GROUP BY "user", side
), compared AS (
    SELECT p.*, same / n AS share, total - n AS others, least(n, $identical) AS voice,
        (if(usual > 0, plus, voices - plus) - voice * same / n + 1) / (voices - voice + 2)
            AS expected
    FROM people AS p JOIN (
        SELECT side, sum(n) AS total, sum(least(n, $identical)) AS voices,
            sum(least(n, $identical) * if(usual > 0, same, n - same) / n) AS plus
        FROM people GROUP BY side
    ) USING (side)
), odd AS (
    SELECT *, n * (share * ln(share / expected) + if(share < 1,
        (1 - share) * ln((1 - share) / (1 - expected)), 0)) AS far
    FROM compared
    WHERE same > $identical AND share >= 0.98 AND share > expected AND others >= $identical
)
SELECT seq, event, "user", 'clean.identical' AS code, $identical / same AS factor,
    to_json({'n': n, 'share': round(share, 4), 'others': round(expected, 4),
        'counted': $identical})::VARCHAR AS detail
FROM heard JOIN odd USING ("user", side) WHERE sign = usual AND far > 13.8
"""

_RATE = """
WITH people AS (
    SELECT "user", side, count(*) AS n FROM heard GROUP BY "user", side
), usual AS (
    SELECT side, exp(median(ln(n)) + 5 * greatest(1.4826 * mad(ln(n)), ln(2))) AS bound
    FROM people GROUP BY side HAVING count(*) >= 20
), odd AS (
    SELECT "user", side, n, greatest(round(bound), $least) AS allowed
    FROM people JOIN usual USING (side)
)
SELECT seq, event, "user", 'clean.rate' AS code, allowed / n AS factor,
    to_json({'n': n, 'limit': allowed::BIGINT})::VARCHAR AS detail
FROM heard JOIN odd USING ("user", side) WHERE n > allowed
"""

_CAP = """
WITH numbered AS (
    SELECT seq, event, "user", count(*) OVER (PARTITION BY "user", side) AS n,
        row_number() OVER (PARTITION BY "user", side ORDER BY t, seq) - 1 AS place
    FROM heard SEMI JOIN (
        SELECT "user", side FROM heard GROUP BY ALL HAVING count(*) > $cap
    ) USING ("user", side)
)
SELECT seq, event, "user", 'clean.cap' AS code, 0.0::DOUBLE AS factor,
    to_json({'n': n, 'limit': $cap::BIGINT})::VARCHAR AS detail
FROM numbered WHERE (place + 1) * $cap // n = place * $cap // n
"""


def bursts(
    con: DuckDBPyConnection, heard: DuckDBPyRelation, per_second: int, per_minute: int
) -> DuckDBPyRelation:
    """Doubts about signals that come faster than a hand gives them; they do not count.

    One is doubted when the ``per_second``-th before it, of the same user, lies less than a second
    back (``clean.same_second``), or the ``per_minute``-th less than a minute (``clean.burst``).
    Times on the full hour say nothing about speed.
    """
    return con.sql(_BURSTS.format(per_second=int(per_second), per_minute=int(per_minute)))


def monotone(con: DuckDBPyConnection, heard: DuckDBPyRelation, identical: int) -> DuckDBPyRelation:
    """Doubts about users who hardly know a second sign although others do (``clean.identical``).

    More than ``identical`` signals of one sign, at least 98 % of the user's, and a share that is
    less probable than one in a million if the user were like the others (Chernoff's bound; the
    others must have given as many). Together these signals then weigh as much as ``identical``.
    """
    return con.sql(_MONOTONE, params={"identical": identical})


def excessive(con: DuckDBPyConnection, heard: DuckDBPyRelation, least: int) -> DuckDBPyRelation:
    """Doubts about users with far more signals than the others (``clean.rate``).

    Far: beyond five robust standard deviations (1.4826 · MAD, at least ln 2) of the logarithm of
    the number of signals per user, from 20 users on, and beyond ``least``. Together such a user's
    signals weigh as much as that bound.
    """
    return con.sql(_RATE, params={"least": least})


def beyond(con: DuckDBPyConnection, heard: DuckDBPyRelation, cap: int) -> DuckDBPyRelation:
    """Doubts about what a user gives beyond ``cap`` signals (``clean.cap``): it does not count.

    Those that count are spread evenly over the user's signals in order of time.
    """
    return con.sql(_CAP, params={"cap": cap})
