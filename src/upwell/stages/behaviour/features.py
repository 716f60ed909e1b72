"""Point-in-time features of users, as window expressions that DuckDB runs.

Every row uses only what its user did strictly before it: rows of one moment know nothing of each
other, nor of themselves. Facts (kinds ``item`` and ``user``) have no row; an act counts for the
category that its item was known to have when the user acted. Unless said otherwise a feature is
``ln(1 + x)`` and 0 where nothing is known:

* ``events``, ``clicks``, ``purchases``, ``ratings``, ``dwells``, ``skips``: counts, all and by
  kind of event (ratings and dwells only with a value);
* ``active_days``: days (UTC) with an event; ``idle_days``: days since the last event;
* ``click_rate``: clicks ÷ events; ``mean_rating``: in stars (neither as a logarithm);
* ``mean_dwell``: seconds; ``spent``: sum of purchase values;
* ``activity``: events, each halved for every half-life that has passed;
* ``category_0`` … ``category_5``: counts by the hash of the item's category (``category``, or
  the first of ``genres``), so that a feature never changes its meaning when categories do.

All sums are sums of whole numbers, so equal events give equal bits however the work is divided.
One wild number spoils none: a rating is taken within 0 … 100 (in hundredths), dwell within
0 … 14,400 s (in tenths), a purchase within 0 … 2·10⁷ (in hundredths). Sums hold up to 2²¹ events
of a kind or category a user.
"""

from __future__ import annotations

import math

from duckdb import DuckDBPyConnection, DuckDBPyRelation

DAY = 86_400_000_000
BUCKETS = 6
HIGHEST_RATING, LONGEST_DWELL, HIGHEST_PURCHASE = 100.0, 14_400.0, 2e7
_BLOCK = 60
_LATE = 20
_END_OF_TIME = 4 * 10**18

# One window over a number of 126 bits sums several things at once: 2^21 times the largest value of
# each fits the bits it has.
_WORDS = {
    "amounts": {"spent": 52, "dwelt": 39, "stars": 35},
    "kinds": dict.fromkeys(
        ("clicks", "purchases", "ratings", "dwells", "skips", "active_days"), 21
    ),
    "tastes": {f"category_{bucket}": 21 for bucket in range(BUCKETS)},
}
_SUM = {
    name: f"(({word} >> {sum(list(bits.values())[:place])}) & {2**width - 1})::DOUBLE"
    for word, bits in _WORDS.items()
    for place, (name, width) in enumerate(bits.items())
}
_FORMULAS = {
    "events": "ln(1 + events)",
    **{name: f"ln(1 + {_SUM[name]})" for name in _WORDS["kinds"]},
    "idle_days": f"ln(1 + coalesce(t - last, 0) / {DAY}::DOUBLE)",
    "click_rate": f"{_SUM['clicks']} / greatest(events, 1)",
    "mean_rating": f"{_SUM['stars']} / 100 / greatest({_SUM['ratings']}, 1)",
    "mean_dwell": f"ln(1 + {_SUM['dwelt']} / 10 / greatest({_SUM['dwells']}, 1))",
    "spent": f"ln(1 + {_SUM['spent']} / 100)",
    "activity": "ln(1 + (near + faded * exp(-rate * length)) / 1099511627776 * exp(-rate * since))",
    **{name: f"ln(1 + {_SUM[name]})" for name in _WORDS["tastes"]},
}
FEATURES: tuple[str, ...] = tuple(_FORMULAS)

# The weights of a decayed count grow with time, as whole multiples of 2^-40. Cutting time into
# blocks of 60 half-lives keeps them below 2^100; what happened in the last 40 half-lives of a block
# is handed on to the next one (``faded``), where the rest counts less than 1e-12.
_KNOWN = """
WITH clock AS (
    SELECT ?::BIGINT AS length, ?::BIGINT AS late, ?::DOUBLE AS rate
), categories AS (
    SELECT item, "at" AS since,
        lead("at", 1, 'infinity'::TIMESTAMPTZ) OVER (PARTITION BY item ORDER BY "at", seq) AS until,
        (('0x' || left(sha256(category), 8))::BIGINT % 6)::INTEGER AS bucket
    FROM (
        SELECT item, "at", seq, coalesce(
            payload ->> '$.category',
            payload ->> '$.genres[0]',
            if(json_type(payload, '$.genres') = 'VARCHAR',
                split_part(payload ->> '$.genres', '|', 1), NULL)
        ) AS category
        FROM events WHERE kind = 'item'
    )
    WHERE category <> ''
), users AS (
    SELECT "user", row_number() OVER () AS code
    FROM (SELECT DISTINCT "user" FROM events WHERE kind NOT IN ('item', 'user'))
), acts AS (
    SELECT seq, code, epoch_us(e."at") AS t, value, bucket,
        CASE kind WHEN 'click' THEN 0 WHEN 'purchase' THEN 1 WHEN 'skip' THEN 4
            WHEN 'rating' THEN if(value IS NULL, NULL, 2)
            WHEN 'dwell' THEN if(value IS NULL, NULL, 3) END AS digit
    FROM events AS e JOIN users USING ("user") LEFT JOIN categories AS c
        ON c.item = e.item AND c.since <= e."at" AND e."at" < c.until
    WHERE kind NOT IN ('item', 'user')
), days AS (
    SELECT *, t // 86400000000
        IS DISTINCT FROM lag(t // 86400000000) OVER (PARTITION BY code ORDER BY t) AS new_day
    FROM acts
), steps AS (
    SELECT seq, code, t, t // length AS block, t % length AS since, rate, length,
        (exp(rate * (t % length)) * 1099511627776)::HUGEINT AS grown,
        if(digit IS NULL, 0, 1::HUGEINT << 21 * digit)
            + if(new_day, 1::HUGEINT << 105, 0) AS kind,
        if(bucket IS NULL, 0, 1::HUGEINT << 21 * bucket) AS taste,
        CASE digit
            WHEN 1 THEN floor(least(greatest(value, 0), 2e7) * 100 + 0.5)::HUGEINT
            WHEN 3 THEN floor(least(greatest(value, 0), 14400) * 10 + 0.5)::HUGEINT << 52
            WHEN 2 THEN floor(least(greatest(value, 0), 100) * 100 + 0.5)::HUGEINT << 91
            ELSE 0 END AS amount
    FROM days CROSS JOIN clock
), sums AS (
    SELECT seq, code, t, block, since, rate, length,
        rank() OVER known - 1 AS events,
        last_value(t) OVER known AS last,
        coalesce(sum(amount) OVER known, 0) AS amounts,
        coalesce(sum(kind) OVER known, 0) AS kinds,
        coalesce(sum(taste) OVER known, 0) AS tastes,
        coalesce(sum(grown) OVER (PARTITION BY code ORDER BY t
            RANGE BETWEEN since PRECEDING AND 1 PRECEDING), 0)::DOUBLE AS near
    FROM steps
    WINDOW known AS (PARTITION BY code ORDER BY t
        RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), late AS (
    SELECT code, epoch_us("at") // length + 1 AS block,
        sum((exp(rate * (epoch_us("at") % length)) * 1099511627776)::HUGEINT)::DOUBLE AS faded
    FROM events JOIN users USING ("user") CROSS JOIN clock
    WHERE kind NOT IN ('item', 'user') AND epoch_us("at") % length >= clock.late
    GROUP BY ALL
)
SELECT * REPLACE (coalesce(faded, 0) AS faded) FROM sums LEFT JOIN late USING (code, block)
"""


def features(
    con: DuckDBPyConnection, events: DuckDBPyRelation, half_life_days: float
) -> DuckDBPyRelation:
    """``seq`` and ``FEATURES`` (double) of every event that is not a fact, in any order.

    ``events`` has the Event schema and ``seq``; it is read several times, so it should be cheap
    to read (Parquet or a table, not a join). Nothing runs until the relation is read.
    """
    known = con.sql(_KNOWN, params=_clock(half_life_days))
    formulas = (f"{sql} AS {name}" for name, sql in _FORMULAS.items())
    return known.project(", ".join(["seq", *formulas]))


def _clock(half_life_days: float) -> list[float]:
    """Length of a block and the beginning of its late part in µs; decay a µs."""
    half_life = max(half_life_days * DAY, 1.0)
    length = int(min(_BLOCK * half_life, _END_OF_TIME))
    return [length, int(min(_LATE * half_life, length)), math.log(2.0) / half_life]
