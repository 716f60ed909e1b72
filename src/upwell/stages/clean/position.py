"""Position bias: what stands below is looked at less, so a yes to it says more.

The position-based model (Richardson et al. 2007; Joachims et al. 2017): the chance of a yes is
θ_k · γ_i, how likely place k is looked at times how good item i is. Only items that chance has put
into their place tell the two apart; exploration does, and the answers say which place it was.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
CLIP = 10.0
LEAST = 200
"""Fewer yeses to explored places than this estimate nothing."""
_ROUNDS = 200

_SHOWN = """
SELECT id, unnest(json_extract_string(output, '$.items[*]')) AS item,
    generate_subscripts(json_extract_string(output, '$.items[*]'), 1) AS place,
    (output ->> '$.explored')::BIGINT + 1 AS explored
FROM predictions
"""
_EXPLORED = """
SELECT place, item, count(*)::BIGINT AS shown, count(*) FILTER (yes.id IS NOT NULL)::BIGINT AS yes
FROM shown LEFT JOIN (
    SELECT DISTINCT signals.prediction AS id, item FROM signals JOIN events USING (seq)
    WHERE sign > 0 AND signals.prediction IS NOT NULL
) AS yes USING (id, item)
WHERE place = explored GROUP BY place, item ORDER BY place, item
"""
_WEIGHED = """
SELECT s.seq, s.event, e."user", 'clean.position' AS code, t.factor,
    to_json({'position': shown.place, 'examined': round(t.theta, 4),
        'counted': round(t.factor, 2)})::VARCHAR AS detail
FROM signals AS s JOIN events AS e USING (seq)
    JOIN shown ON shown.id = s.prediction AND shown.item = e.item JOIN thetas AS t USING (place)
WHERE s.sign > 0 AND t.factor > 1
"""


def examination(place: Integers, item: Integers, shown: Floats, yes: Floats) -> Floats:
    """(K,) θ_k relative to the first place, falling, from counts of ``shown`` and ``yes``.

    One entry a pair of place (0 …) and item (codes 0 …). θ and γ are fitted in turn until both
    explain all margins (the quasi-Poisson fit of yes = shown · θ_k · γ_i), which is consistent
    whatever the distribution; then θ is made to fall by pooling neighbours. A place that was never
    shown takes the value of the one before it.

    >>> place, item = np.divmod(np.arange(4), 2)
    >>> examination(place, item, np.full(4, 100.0), np.array([50.0, 10.0, 25.0, 5.0]))
    array([1. , 0.5])
    """
    places, items = int(place.max()) + 1, int(item.max()) + 1
    of_place, of_item = np.bincount(place, yes, places), np.bincount(item, yes, items)
    theta = np.ones(places)
    for _ in range(_ROUNDS):
        gamma = of_item / np.maximum(np.bincount(item, shown * theta[place], items), 1e-12)
        theta = of_place / np.maximum(np.bincount(place, shown * gamma[item], places), 1e-12)
    falling = _falling(theta, np.bincount(place, shown * gamma[item], places).astype(np.float64))
    return falling / falling[0] if falling[0] > 0 else np.ones(places)


def weights(theta: Floats) -> Floats:
    """(K,) what a yes at each place counts: 1/θ_k, ``CLIP`` at most.

    >>> weights(np.array([1.0, 0.5, 0.01]))
    array([ 1.,  2., 10.])
    """
    return 1.0 / np.maximum(theta, 1.0 / CLIP)


def estimate(
    con: DuckDBPyConnection,
    signals: DuckDBPyRelation,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
) -> Floats | None:
    """θ from lists of items with an ``explored`` place; None where they say too little."""
    counts = _explored(con, signals, events, con.query(_SHOWN))
    if np.asarray(counts["yes"]).sum() < LEAST:
        return None
    item = counts["item"].combine_chunks().dictionary_encode().indices.to_numpy()
    return examination(
        np.asarray(counts["place"]) - 1,
        item.astype(np.int64),
        np.asarray(counts["shown"], dtype=np.float64),
        np.asarray(counts["yes"], dtype=np.float64),
    )


def weighed(
    con: DuckDBPyConnection,
    signals: DuckDBPyRelation,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    theta: Floats,
) -> DuckDBPyRelation:
    """For each yes to an item of a list, what it counts by its place (``clean.position``)."""
    shown = con.query(_SHOWN)
    columns = {"place": np.arange(1, len(theta) + 1), "theta": theta, "factor": weights(theta)}
    return _joined(con, signals, events, shown, con.from_arrow(pa.table(columns)))


def _explored(
    con: DuckDBPyConnection,
    signals: DuckDBPyRelation,
    events: DuckDBPyRelation,
    shown: DuckDBPyRelation,
) -> pa.Table:
    """How often each item stood in an explored place, and got a yes there."""
    return con.query(_EXPLORED).to_arrow_table()


def _joined(
    con: DuckDBPyConnection,
    signals: DuckDBPyRelation,
    events: DuckDBPyRelation,
    shown: DuckDBPyRelation,
    thetas: DuckDBPyRelation,
) -> DuckDBPyRelation:
    """The query over its arguments: DuckDB finds relations by the names they have here."""
    return con.query(_WEIGHED)


def _falling(values: Floats, weight: Floats) -> Floats:
    """The nearest non-increasing values in weighted squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for value, mass in zip(values, weight, strict=True):
        blocks.append((float(value), float(mass), 1))
        while len(blocks) > 1 and blocks[-2][0] <= blocks[-1][0]:
            (one, left, size), (two, right, more) = blocks[-2:]
            total = left + right
            mean = (one * left + two * right) / total if total > 0 else one
            blocks[-2:] = [(mean, total, size + more)]
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
