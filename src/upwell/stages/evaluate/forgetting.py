"""What a model's likelihoods tell: what it forgot, and what it knows by heart.

Both stand on ``log_prob`` of a few hundred rows, which every task has.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.ports import Model, Talking, Task
from upwell.stages.evaluate import paired
from upwell.stages.evaluate.columns import owners_of
from upwell.stages.evaluate.drift import auc
from upwell.stages.evaluate.guards import Finding, unmeasured

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST = -20.0
"""Smaller log-probabilities count as this: one row must not decide for all."""
BATCH_ROWS, TALKS = 128, 8
"""Rows that are read at once, and conversations: of these one may have a thousand tokens."""
RESAMPLES = 500


def sample(rows: pa.Table, most: int, alone: bool, rng: np.random.Generator) -> pa.Table:
    """At most ``most`` of the rows at random, in order; with ``alone``, one of each owner.

    Tasks whose batches keep users together read several rows of one user as successive ones.
    """
    order = rng.permutation(rows.num_rows)
    if alone:
        _, first = np.unique(owners_of(rows)[order], return_index=True)
        order = rng.permutation(order[first])
    return rows.take(pa.array(np.sort(order[:most])))


def likelihood(task: Task, model: Model, rows: pa.Table) -> Floats:
    """(n,) natural log-probability of each row's target, at least ``LEAST``; NaN counts as that."""
    import torch

    model.eval()
    found: Floats = np.zeros(rows.num_rows)
    order, size = np.arange(rows.num_rows), BATCH_ROWS
    if isinstance(task, Talking):
        order, size = np.argsort(pc.utf8_length(rows["input"]), kind="stable"), TALKS
    with torch.no_grad():
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            batch = task.collate(model, rows.take(pa.array(chosen)).combine_chunks())
            found[chosen] = task.log_prob(model, batch).double().cpu().numpy()
    return np.maximum(np.nan_to_num(found, nan=LEAST, neginf=LEAST), LEAST)


def forgotten(
    mine: Floats,
    before: Floats,
    users: pa.ChunkedArray,
    confidence: float,
    rng: np.random.Generator,
    growth: float = 0.0,
) -> Finding:
    """Nats of likelihood lost: the mean over users of ``before`` − ``mine`` (n,) log-probabilities.

    ``growth`` is taken off: the log of how many times more answers there are to choose among now,
    by which the likelihood of even a blind guess falls. Sure where the interval is above 0.
    """
    lost = (before - mine - growth)[:, None]
    per_user = paired.user_means(users, lost)
    mean, low, high = (float(x) for x in paired.intervals(per_user, RESAMPLES, confidence, rng)[0])
    told = {"low": low, "high": high, "rows": len(mine), "users": len(per_user)}
    return Finding(mean, low > 0.0, {**told, "growth": growth})


def memorised(learned: Floats, others: Floats, confidence: float) -> Finding:
    """How well learned rows are told from others by their likelihood alone (AUC; .5: not at all).

    The membership inference by loss of Yeom et al. (2018), with Hanley and McNeil's (1982)
    interval. Where the others are later in time, it holds the change over time as well.
    """
    if not len(learned) or not len(others):
        return unmeasured("few", rows=0)
    scores = np.concatenate([learned, others])
    value = auc(scores, np.arange(len(scores)) < len(learned))
    apart = deviation(value, len(learned), len(others))
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * apart
    low, high = max(0.0, value - reach), min(1.0, value + reach)
    told = {"low": low, "high": high, "learned": len(learned), "others": len(others)}
    return Finding(value, low > 0.5, told)


def deviation(area: float, positive: int, negative: int) -> float:
    """Standard deviation of an AUC (Hanley and McNeil 1982).

    >>> round(deviation(0.5, 100, 100), 4)
    0.0409
    """
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (positive - 1) * (one - area**2)
    return math.sqrt((spread + (negative - 1) * (two - area**2)) / (positive * negative))
