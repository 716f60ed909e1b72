"""Accounts that act together: young ones that gather on one thing, and ones that act alike.

Two traces of rented or made-up crowds. A *surge*: of the accounts that were born in the same day
or week, far more gather on one thing than of all others (compare cohorts: Beutel et al., CopyCatch,
2013). *Lockstep*: accounts whose whole records are nearly the same (Cao et al., SynchroTrap, 2014),
in groups of at least ``LEAST``.

An honest crowd gathers too, on what is new or in the news. So what established accounts do in the
same weeks counts as what is to be expected, and a thing must draw the cohort ``LIFT`` times as
much as that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.stages.clean.consistency import DOUBTS

LEAST = 5
"""Accounts that make a crowd."""
LIFT = 4.0
ALIKE = 0.6
"""Cosine of two records, weighed by rarity, from which they are taken for one hand's."""
SHARED = 3
_DAY = 86_400_000_000
_MOST_PAIRS = 20_000_000
_WIDEST = 200
"""Things that more accounts have than this tell nothing about pairs of them."""

# An account leans on a target where its share of signals would surprise (4 nats) in an honest one.
# So counted, an answer that everybody gives now and then becomes one that few lean on.
_LEANING = """
WITH people AS (
    SELECT side, "user", count(*) AS n, min(born) AS born, min(t) AS t FROM acts GROUP BY ALL
), aims AS (
    SELECT side, target, sign, count(*) / sum(count(*)) OVER (PARTITION BY side) AS expected
    FROM acts GROUP BY side, target, sign
), leant AS (
    SELECT side, "user", target, sign, count(*) AS same FROM acts GROUP BY ALL
)
SELECT side, "user", target AS thing, sign, p.born, p.t
FROM leant JOIN people AS p USING (side, "user") JOIN aims USING (side, target, sign)
WHERE same >= 2 AND same / n > expected AND n * (same / n * ln(same / n / expected) + if(same < n,
    (1 - same / n) * ln((1 - same / n) / (1 - expected)), 0)) > 4
"""

# ``usual`` is the share of accounts outside the cohort that gather on the thing, or, where it is
# larger, that of accounts born before the cohort which were active while it was young.
_SURGES = """
WITH people AS (
    SELECT side, "user", min(born) // $span AS cohort, min(t) // $span AS began,
        max(t) // $span AS ended
    FROM acts GROUP BY side, "user"
), gathered AS (
    SELECT DISTINCT side, thing, sign, "user", cohort, g.t // $span AS at
    FROM things AS g JOIN people USING (side, "user")
), sizes AS (
    SELECT side, cohort, count(*) AS m, sum(count(*)) OVER (PARTITION BY side) AS everybody
    FROM people GROUP BY side, cohort
), crowds AS (
    SELECT side, thing, sign, cohort, count(DISTINCT "user") AS c, sum(count(DISTINCT "user"))
        OVER (PARTITION BY side, thing, sign) AS whole
    FROM gathered GROUP BY side, thing, sign, cohort
), elders AS (
    SELECT s.side, s.cohort, count(*) AS active
    FROM sizes AS s JOIN people AS p ON p.side = s.side AND p.cohort < s.cohort
        AND p.ended >= s.cohort AND p.began <= s.cohort + 1
    GROUP BY ALL
), also AS (
    SELECT c.side, c.thing, c.sign, c.cohort, count(DISTINCT g."user") AS older
    FROM crowds AS c JOIN gathered AS g USING (side, thing, sign)
    WHERE c.c >= $least AND g.cohort < c.cohort AND g.at BETWEEN c.cohort AND c.cohort + 1
    GROUP BY ALL
), compared AS (
    SELECT c.*, m, (whole - c + 0.5) / (everybody - m + 1) AS outside,
        count(*) OVER () AS cells
    FROM crowds AS c JOIN sizes USING (side, cohort)
    WHERE c.c >= $least AND everybody - m >= $least
), judged AS (
    SELECT *, c / m AS share, greatest(outside, (coalesce(older, 0) + 20 * outside)
        / (coalesce(active, 0) + 20)) AS usual
    FROM compared LEFT JOIN elders USING (side, cohort)
        LEFT JOIN also USING (side, thing, sign, cohort)
), odd AS (
    SELECT * FROM judged WHERE share > $lift * usual AND m * (share * ln(share / usual)
        + if(share < 1, (1 - share) * ln((1 - share) / (1 - usual)), 0)) > 13.8 + ln(cells)
)
SELECT g.side, g."user", g.thing, g.sign, any_value(odd.c) AS c, any_value(odd.m) AS m,
    any_value(odd.usual) AS usual
FROM gathered AS g JOIN odd USING (side, thing, sign, cohort)
GROUP BY ALL
"""
_SURGING = """
SELECT seq, event, acts."user", 'clean.surge' AS code, 0.0::DOUBLE AS factor,
    to_json({{'crowd': max(c), 'young': max(m), 'usual': round(max(usual), 4)}})::VARCHAR AS detail
FROM acts JOIN found ON found.side = acts.side AND found."user" = acts."user"
    AND found.sign = acts.sign AND found.thing = acts.{column}
GROUP BY ALL
"""
_RECORDS = """
SELECT side, "user", thing, sign, count(*) OVER (PARTITION BY side, thing, sign) AS n
FROM (SELECT DISTINCT side, "user", thing, sign FROM acts)
"""
_WIDTH = """
SELECT coalesce(max(n), 0) FROM (
    SELECT n, sum(sum(n - 1) / 2) OVER (ORDER BY n) AS pairs
    FROM records WHERE n BETWEEN 2 AND $widest GROUP BY n
) WHERE pairs <= $most
"""
# Rarity as evidence: what few have tells more, what most have nothing (where there is little to
# choose from everybody is alike). A pair is as alike as the cosine of its records.
_PAIRS = """
WITH weighed AS (
    SELECT side, "user", thing, sign, n, ln(everybody / n) AS rare
    FROM records JOIN (
        SELECT side, count(DISTINCT "user") + 1 AS everybody FROM records GROUP BY side
    ) USING (side)
), own AS (
    SELECT side, "user", sqrt(sum(rare * rare)) AS length FROM weighed GROUP BY ALL
), met AS (
    SELECT a.side AS side, a."user" AS one, b."user" AS other, count(*) AS shared,
        sum(a.rare * a.rare) AS common
    FROM weighed AS a JOIN weighed AS b USING (side, thing, sign)
    WHERE a."user" < b."user" AND a.n <= $width AND a.n > 1 AND a.rare > ln(2)
    GROUP BY ALL HAVING shared >= $shared
)
SELECT met.side AS side, one, other FROM met
    JOIN own AS a ON a.side = met.side AND a."user" = one
    JOIN own AS b ON b.side = met.side AND b."user" = other
WHERE common >= $alike * a.length * b.length
"""
_ALIKE = """
SELECT seq, event, acts."user", 'clean.ring' AS code, 0.0::DOUBLE AS factor,
    to_json({'accounts': size})::VARCHAR AS detail
FROM acts JOIN members ON members.side = acts.side AND members."user" = acts."user"
"""


def surging(
    con: DuckDBPyConnection, acts: DuckDBPyRelation, about: str, days: Sequence[int] = (1, 7)
) -> DuckDBPyRelation:
    """Doubts about what young accounts gather on (``clean.surge``): it does not count.

    For every cohort (accounts whose first event lies in the same day, the same week) and thing of
    one sign with ``LEAST`` accounts of the cohort: their share of the cohort against what is usual,
    by Chernoff's bound at one in a million for all cells together. About answers, what is gathered
    on is an answer that accounts lean on (to whatever input), or one to the very same input.
    """
    found = con.sql(_empty_doubts())
    for column in ("thing", "target") if about == "answer" else ("thing",):
        things = acts if column == "thing" else con.sql(_LEANING)
        for one in days:
            crowd = _crowd(con, acts, things, one * _DAY)
            found = found.union(_of(con, acts, crowd, column).select(*DOUBTS))
    return con.sql("SELECT DISTINCT ON (seq) * FROM found ORDER BY seq, detail")


def lockstep(con: DuckDBPyConnection, acts: DuckDBPyRelation) -> DuckDBPyRelation:
    """Doubts about accounts with nearly the same record (``clean.ring``): they do not count.

    Two accounts are alike where they share ``SHARED`` things or more and the cosine of their
    records, each thing weighed by the logarithm of its rarity, is ``ALIKE`` or more. Connected
    accounts are a ring from ``LEAST`` on. Things that many have make no pairs, so that the work is
    bounded: 20 million pairs.
    """
    records = con.sql(_RECORDS).to_arrow_table()
    pairs = _pairs(con, con.from_arrow(records))
    return _in_rings(con, acts, con.from_arrow(_rings(pairs)))


def _crowd(
    con: DuckDBPyConnection, acts: DuckDBPyRelation, things: DuckDBPyRelation, span: int
) -> DuckDBPyRelation:
    return con.from_arrow(
        con.sql(_SURGES, params={"span": span, "least": LEAST, "lift": LIFT}).to_arrow_table()
    )


def _of(
    con: DuckDBPyConnection, acts: DuckDBPyRelation, found: DuckDBPyRelation, column: str
) -> DuckDBPyRelation:
    return con.from_arrow(con.query(_SURGING.format(column=column)).to_arrow_table())


def _pairs(con: DuckDBPyConnection, records: DuckDBPyRelation) -> pa.Table:
    bounds = {"widest": _WIDEST, "most": _MOST_PAIRS}
    width = con.sql(_WIDTH, params=bounds).fetchall()[0][0]
    chosen = {"width": width, "shared": SHARED, "alike": ALIKE}
    return con.sql(_PAIRS, params=chosen).to_arrow_table()


def _rings(pairs: pa.Table) -> pa.Table:
    """``side``, ``user`` and ``size`` of every account in a ring."""
    # Components come from scipy, which only a turn needs.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = [
        [f"{int(side)}{user}" for side, user in zip(pairs["side"].to_pylist(), names, strict=True)]
        for names in (pairs["one"].to_pylist(), pairs["other"].to_pylist())
    ]
    names, codes = np.unique(np.array(ends[0] + ends[1], dtype=object), return_inverse=True)
    half, size = len(ends[0]), len(names)
    linked = coo_array((np.ones(half), (codes[:half], codes[half:])), shape=(size, size))
    ring: npt.NDArray[np.int32] = connected_components(linked, directed=False)[1]
    sizes = np.bincount(ring)[ring] if size else np.zeros(0, np.int64)
    chosen = sizes >= LEAST
    return pa.table(
        {
            "side": pa.array([name[0] == "1" for name in names[chosen]], pa.bool_()),
            "user": pa.array([name[1:] for name in names[chosen]], pa.string()),
            "size": pa.array(sizes[chosen], pa.int64()),
        }
    )


def _in_rings(
    con: DuckDBPyConnection, acts: DuckDBPyRelation, members: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query(_ALIKE)


def _empty_doubts() -> str:
    return """SELECT 0::BIGINT AS seq, '' AS event, '' AS "user", '' AS code,
        1.0::DOUBLE AS factor, '{}' AS detail LIMIT 0"""
