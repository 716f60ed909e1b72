"""How much labels and feedback count: effective counts, λ, and what negative feedback may do."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc

Floats = NDArray[np.float64]
Key = Literal["input", "user"]

LEAST_SHARE, MOST_SHARE = 0.2, 0.8
"""Thumbs never drown the labels and labels never silence the users."""


def effective_count(weight: Floats) -> float:
    """N_eff = (Σw)²/Σw²: how many rows of equal weight these rows are worth.

    >>> effective_count(np.array([1.0, 1.0, 2.0, 0.0]))
    2.6666666666666665
    """
    squares = float(np.square(weight).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def label_share(labels: float, feedback: float) -> float:
    """λ from effective counts: N_D/(N_D + N_F), within [0.2, 0.8].

    Without feedback λ is 1. Without labels the rule's 0 becomes 0.2 like any other small share;
    the label term is then empty, so that λ only scales the loss.

    >>> label_share(300, 700), label_share(1, 999), label_share(5, 0), label_share(0, 5)
    (0.3, 0.2, 1.0, 0.2)
    """
    if feedback == 0:
        return 1.0
    return min(max(labels / (labels + feedback), LEAST_SHARE), MOST_SHARE)


def counts(rows: pa.Table) -> tuple[float, float]:
    """Effective counts of the labels and of the feedback among ``rows``."""
    weight = rows["weight"].to_numpy()
    label = rows["sign"].is_null().to_numpy()
    return effective_count(weight[label]), effective_count(weight[~label])


def negative_mass(rows: pa.Table, share: float, key: Key) -> float:
    """Share of inputs (or users) with a target whose net mass λ·p_D + (1−λ)(p₊ − p₋) is < 0.

    Each such input lets the textbook loss fall without end in a model that can tell inputs
    apart; where the result is 0 the textbook loss is bounded. Rows of weight 0 do not count.

    >>> rows = pa.table({"user": ["a", "a", "b"], "target": ["x", "x", "y"],
    ...                  "sign": [None, -1, -1], "weight": [1.0, 1.0, 1.0]})
    >>> negative_mass(rows, 0.8, "user"), negative_mass(rows, 0.2, "user")
    (0.5, 1.0)
    """
    rows = rows.select([key, "target", "sign", "weight"]).filter(pc.greater(rows["weight"], 0))
    label = rows["sign"].is_null().to_numpy()
    weight = rows["weight"].to_numpy()
    sign = rows["sign"].fill_null(1).to_numpy()
    side = np.where(label, share, 1.0 - share)
    if not len(weight):
        return 0.0
    total = np.where(label, weight[label].sum(), weight[~label].sum())
    mass = pa.array(side * sign * weight / total * len(weight))
    pairs = pa.table({"key": rows[key], "target": rows["target"], "mass": mass})
    net = pairs.group_by(["key", "target"]).aggregate([("mass", "sum")])
    # Sums of equal masses of both signs may miss 0 by a rounding error.
    unmatched = net.filter(pc.less(net["mass_sum"], -1e-9))
    return float(
        pc.count_distinct(unmatched["key"]).as_py() / pc.count_distinct(net["key"]).as_py()
    )
