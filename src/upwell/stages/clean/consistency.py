"""Does a user agree with themselves? Contradictions, changed minds, and the same said again.

All functions of this room that doubt take signals as a relation ``heard`` and give doubts as a
relation; columns in ``HEARD`` and ``DOUBTS``. Signals of the frozen part of time (``side`` true)
and the others never meet: what happens later cannot change what a frozen test counts.
"""

from __future__ import annotations

from duckdb import DuckDBPyConnection, DuckDBPyRelation

HEARD = ("seq", "event", "user", "side", "t", "sign", "corrects", "about")
"""``t`` in µs; ``corrects``: brings the right answer; ``about``: a hash of what it is about."""
DOUBTS = ("seq", "event", "user", "code", "factor", "detail")
"""``detail`` is a JSON object with the numbers of the sentence ``code``."""

_DOUBTED = """
WITH said AS (
    SELECT *, count(*) FILTER (sign > 0) OVER second AS yes, count(*) FILTER (sign < 0)
        OVER second AS no
    FROM heard SEMI JOIN (
        SELECT "user", side, about FROM heard GROUP BY ALL HAVING count(*) > 1
    ) USING ("user", side, about)
    WINDOW second AS (PARTITION BY "user", side, about, t // 1000000)
), steady AS (
    SELECT *, last_value(sign) OVER whole AS final, last_value(t) OVER whole AS last_t,
        count(*) OVER (PARTITION BY "user", side, about, sign) AS times,
        row_number() OVER (PARTITION BY "user", side, about, sign
            ORDER BY corrects DESC, if(corrects, -t, t), seq) AS place
    FROM said WHERE yes = 0 OR no = 0
    WINDOW whole AS (PARTITION BY "user", side, about ORDER BY t, seq
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
)
SELECT seq, event, "user", 'clean.contradiction' AS code, 0.0::DOUBLE AS factor,
    to_json({'yes': yes, 'no': no})::VARCHAR AS detail
FROM said WHERE yes > 0 AND no > 0
UNION ALL
SELECT seq, event, "user", if(sign <> final, 'clean.changed_mind', 'clean.duplicate'), 0.0,
    if(sign <> final,
        to_json({'at': strftime(make_timestamp(last_t), '%Y-%m-%d %H:%M:%S')}),
        to_json({'times': times}))::VARCHAR
FROM steady WHERE sign <> final OR place > 1
"""


def inconsistent(con: DuckDBPyConnection, heard: DuckDBPyRelation) -> DuckDBPyRelation:
    """Doubts about signals of one user about the same thing: one at most of them counts.

    Yes and no within the same second: neither counts (``clean.contradiction``). Otherwise the
    later sign holds and the earlier one does not count (``clean.changed_mind``). Of those with
    the sign that holds one counts: the latest correction, else the earliest signal; the others
    are ``clean.duplicate``.
    """
    return con.sql(_DOUBTED)
