"""How long does one user wait? Top ten for one user, beside ``implicit`` on the same catalogue.

Both models are in memory and asked for one user at a time on one thread. Upwell's answer carries
reasons and probabilities and reads the history it is given; implicit's is a product of factors.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from bench import datasets, ours, protocol
from bench.rows import Row, publish
from upwell.plugins import plugin

ASKS = 500


def main() -> None:
    """Time both on each dataset and print the table."""
    rows: list[Row] = []
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name in datasets.NAMES:
            rows += _dataset(name)
    publish("serving", rows)


def _dataset(name: str) -> list[Row]:
    data = datasets.load(name)
    known = protocol.leave_one_out(data, 0).known("test")
    users = np.unique(known.user)[:ASKS]
    model, inputs = ours.fitted(data, known, users, seed=0, epochs=1)
    task = plugin("tasks", "recommend")
    mine = _times(lambda at: task.answer(model, inputs.slice(at, 1), protocol.TOP), len(users))
    shape = (data.users, data.items)
    matrix = csr_matrix((np.ones(len(known)), (known.user, known.item)), shape)
    peer = AlternatingLeastSquares(factors=64, iterations=1, num_threads=1, random_state=0)
    peer.fit(matrix, show_progress=False)
    theirs = _times(
        lambda at: peer.recommend(users[at], matrix[users[at]], protocol.TOP), len(users)
    )
    return [
        Row(f"{name} {who} {label}, ms", float(np.percentile(times, at)) * 1000)
        for who, times in (("upwell", mine), ("implicit", theirs))
        for label, at in (("p50", 50), ("p99", 99))
    ]


def _times(ask: Callable[[int], object], count: int) -> list[float]:
    """Seconds of each ask, after a first round that warms caches up."""
    for at in range(min(count, 50)):
        ask(at)
    times = []
    for at in range(count):
        began = perf_counter()
        ask(at)
        times.append(perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
