"""Self-selection: who answers is not who asks, so those count more who seldom answer.

Feedback is missing not at random. Weighting each signal by 1/P(feedback | what was known when the
answer was given) undoes it (inverse propensity weighting; Schnabel et al. 2016), as far as those
features explain who reacts. The weights are relative to the mean rate, so that they keep the
scale of the others, and clipped.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

Floats = npt.NDArray[np.float64]
CLIP = 5.0
LEAST = 50
"""Fewer answers with feedback than this, or without, estimate nothing."""
_FIT_ON = 200_000
_FEATURES = ("answers", "pause", "asked", "said", "morning", "noon")

_KNOWN = """
SELECT p.id, hash("user") % 2 AS fold, heard.prediction IS NOT NULL AS answered,
    ln(row_number() OVER own) AS answers,
    ln(1 + coalesce(epoch_us("at") - lag(epoch_us("at")) OVER own, 0) / 1e6) AS pause,
    ln(1 + length(input)) AS asked, ln(1 + length(output)) AS said,
    sin(epoch_us("at") % 86400000000 / 86400000000.0 * 2 * pi()) AS morning,
    cos(epoch_us("at") % 86400000000 / 86400000000.0 * 2 * pi()) AS noon
FROM predictions AS p LEFT JOIN (
    SELECT DISTINCT prediction FROM signals WHERE seq >= 0 AND prediction IS NOT NULL
) AS heard ON heard.prediction = p.id
WINDOW own AS (PARTITION BY "user" ORDER BY "at", p.seq)
"""
_WEIGHED = """
SELECT s.seq, s.event, e."user", 'clean.selection' AS code, r.factor,
    to_json({'rate': round(r.rate, 4), 'counted': round(r.factor, 2)})::VARCHAR AS detail
FROM signals AS s JOIN events AS e USING (seq) JOIN rates AS r ON r.id = s.prediction
WHERE s.seq >= 0
"""


def chances(
    features: Floats, answered: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]
) -> Floats:
    """(n,) P(feedback | features), each from a logistic regression on the other fold.

    ``features`` is (n, d). ``fold`` is 0 or 1 and keeps all answers to a user together, so that
    nobody's rate is estimated from themselves. A fold without both outcomes gives its mean rate.
    """
    scaled = (features - features.mean(0)) / np.maximum(features.std(0), 1e-9)
    design = np.column_stack([np.ones(len(scaled)), scaled])
    chance = np.empty(len(design))
    for one in (0, 1):
        here, learned = fold == one, np.flatnonzero(fold != one)
        every = learned[:: max(1, -(-len(learned) // _FIT_ON))]
        chance[here] = _logistic(design[here] @ _fit(design[every], answered[every]))
    return chance


def weights(chance: Floats, rate: float) -> Floats:
    """(n,) what a signal counts: rate ÷ chance, ``CLIP`` at most.

    >>> weights(np.array([0.2, 0.1, 0.001]), 0.1)
    array([0.5, 1. , 5. ])
    """
    return np.minimum(rate / np.maximum(chance, 1e-12), CLIP)


def estimate(
    con: DuckDBPyConnection, signals: DuckDBPyRelation, predictions: DuckDBPyRelation
) -> pa.Table | None:
    """``id`` of each answer that got feedback, its ``rate`` and ``factor``; None if too few."""
    known = con.query(_KNOWN).to_arrow_table()
    answered = known["answered"].to_numpy()
    if min(answered.sum(), len(answered) - answered.sum()) < LEAST:
        return None
    features = np.column_stack([known[name].to_numpy() for name in _FEATURES])
    chance = chances(features, answered, known["fold"].to_numpy().astype(np.int64))
    return pa.table(
        {
            "id": known["id"].filter(pa.array(answered)),
            "rate": chance[answered],
            "factor": weights(chance[answered], float(answered.mean())),
        }
    )


def weighed(
    con: DuckDBPyConnection,
    signals: DuckDBPyRelation,
    events: DuckDBPyRelation,
    rates: DuckDBPyRelation,
) -> DuckDBPyRelation:
    """For each signal about an answer, what it counts by how rare such feedback is."""
    return con.query(_WEIGHED)


def _fit(design: Floats, answered: npt.NDArray[np.bool_], ridge: float = 1.0) -> Floats:
    """Coefficients by Newton's method; the ridge leaves the intercept alone."""
    beta = np.zeros(design.shape[1])
    rate = np.clip(answered.mean() if len(answered) else 0.5, 1e-6, 1 - 1e-6)
    beta[0] = np.log(rate / (1 - rate))
    if not 0 < answered.sum() < len(answered):
        return beta
    penalty = ridge * np.eye(len(beta))
    penalty[0, 0] = 1e-9
    for _ in range(25):
        chance = _logistic(design @ beta)
        slope = design.T @ (answered - chance) - penalty @ beta
        step = np.linalg.solve(design.T * (chance * (1 - chance)) @ design + penalty, slope)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _logistic(score: Floats) -> Floats:
    chance: Floats = 1.0 / (1.0 + np.exp(-np.clip(score, -30.0, 30.0)))
    return chance
