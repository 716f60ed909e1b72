"""Do users react as they did? The share of answers that get feedback, and the share that is a yes.

An answer is looked at once its window has passed, and only feedback within the window counts: the
newest answers have had no less time than the others.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation
from pyarrow import compute as pc

from upwell.stages.evaluate import drift
from upwell.stages.evaluate.columns import halves
from upwell.stages.evaluate.guards import Finding, unmeasured

LATEST = 20_000
"""Answers that are looked at, the latest ones."""

_HEARD = """
WITH told AS (
    SELECT answers.id, arg_max(signals.sign, signals.seq) AS sign
    FROM signals JOIN events USING (seq) JOIN answers ON answers.id = signals.prediction
    WHERE epoch_us(events."at") - epoch_us(answers."at") BETWEEN 0 AND $window
    GROUP BY answers.id
)
SELECT answers."user", answers."at", told.sign
FROM answers LEFT JOIN told USING (id) ORDER BY answers."at", answers.id
"""


def awaited(predictions: DuckDBPyRelation, ripe: datetime) -> DuckDBPyRelation:
    """The latest answers that were given before ``ripe``: their window has passed."""
    old = predictions.filter(ColumnExpression("at") < ConstantExpression(ripe))
    return old.order('"at" DESC, id').limit(LATEST)


def heard(
    con: DuckDBPyConnection,
    answers: DuckDBPyRelation,
    events: DuckDBPyRelation,
    signals: pa.Table,
    window: int,
) -> pa.Table:
    """``user``, ``at`` and ``sign`` of each answer: the last sign within the window, null: none.

    ``signals`` of ``events`` are joined by ``seq``; ``window`` is in microseconds.
    """
    return con.sql(_HEARD, params={"window": window}).to_arrow_table()


def reactions(
    told: pa.Table, newest: float, minimum: int, confidence: float, rng: np.random.Generator
) -> dict[str, Finding]:
    """Whether the newest answers get feedback, and a yes, as often as those before.

    Each user counts once before and once after, so that the busy do not outvote the others.
    """
    answered = told.filter(pc.is_valid(told["sign"]))
    parts = {
        "feedback_rate": told.append_column("yes", pc.is_valid(told["sign"])),
        "positive_share": answered.append_column("yes", pc.greater(answered["sign"], 0)),
    }
    found = {}
    for name, rows in parts.items():
        chosen, is_new = halves(rows, newest, LATEST, rng)
        if min(int(is_new.sum()), int((~is_new).sum())) < minimum:
            found[name] = unmeasured("few", rows=int(is_new.sum()), minimum=minimum)
        else:
            said = np.asarray(chosen["yes"], dtype=np.bool_)
            found[name] = drift.shares(said[~is_new], said[is_new], confidence)
    return found
