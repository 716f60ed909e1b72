"""Classes: which there are, answers of them as a table, and what the answers earn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST = 1e-6
"""The smallest probability a mark counts with, so that no row outweighs all others."""


def classes(rows: pa.Table) -> tuple[str, ...]:
    """The different targets, in order of their names; blank ones are none.

    >>> classes(pa.table({"target": ["b", "a", " ", "b"]}))
    ('a', 'b')
    """
    return tuple(sorted(one for one in pc.unique(rows["target"]).to_pylist() if one.strip()))


def numbers(targets: pa.ChunkedArray, index: Mapping[str, int]) -> Ints:
    """(n,) the number of each target, −1 where it is not known."""
    return np.array([index.get(one, -1) for one in targets.to_pylist()], np.int64)


def best(
    names: tuple[str, ...], probability: npt.NDArray[np.floating], k: int, key: str
) -> pa.Table:
    """The ``k`` most probable of the classes (all, where they are fewer) in each row.

    ``probability`` is (n, classes). Each reason is ``key`` with the probability in per cent.
    """
    rows, width = len(probability), min(k, len(names))
    order = np.argsort(-probability, axis=1, kind="stable")[:, :width]
    scores = np.take_along_axis(probability, order, 1).astype(np.float64).clip(0.0, 1.0)
    reasons = [f"{key}\t{round(100 * score)} %" for score in scores.ravel().tolist()]
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)

    def listed(values: pa.Array) -> pa.ListArray:
        return pa.ListArray.from_arrays(offsets, values)

    return pa.table(
        {
            "output": listed(pa.array(names, pa.string()).take(pa.array(order.ravel()))),
            "score": listed(pa.array(scores.ravel(), pa.float64())),
            "reason": listed(pa.array(reasons, pa.string())),
        }
    )


def most_frequent(targets: list[str], rows: int, k: int, key: str) -> pa.Table:
    """The same answer to every row: classes by their share of ``targets``."""
    counts = sorted(Counter(targets).items(), key=lambda one: (-one[1], one[0]))
    shares = np.array([count for _, count in counts], np.float64) / max(len(targets), 1)
    names = tuple(name for name, _ in counts)
    return best(names, np.tile(shares, (rows, 1)), k, key)


def mark(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """Marks of each row, larger is better.

    ``accuracy``: whether the first answer is the target. ``macro_f1``: parts whose mean over the
    rows is their macro-averaged F1 (over classes that are a target or a first answer); a row's
    part depends on the rows it is marked with. ``log_likelihood``: of the target, at least
    log(1e-6). ``brier``: −Σ (p − y)² (Brier 1950). A class that is not listed has p = 0; a row
    without answers is wrong.
    """
    targets = np.asarray(rows["target"].to_pylist(), dtype=object)
    sizes = np.asarray(pc.list_value_length(answers["output"]), dtype=np.int64)
    of = np.repeat(np.arange(len(targets)), sizes)
    outputs = np.asarray(pc.list_flatten(answers["output"]).to_pylist(), dtype=object)
    scores = np.asarray(pc.list_flatten(answers["score"]), dtype=np.float64)
    first = np.full(len(targets), None, dtype=object)
    first[sizes > 0] = outputs[(np.cumsum(sizes) - sizes)[sizes > 0]]
    right = (first == targets) & (sizes > 0)
    is_target = outputs == targets[of] if len(outputs) else np.zeros(0, bool)
    chance = np.bincount(of[is_target], scores[is_target], len(targets))
    squares = np.bincount(of, scores * scores, len(targets))
    return pa.table(
        {
            "accuracy": right.astype(np.float64),
            "macro_f1": _f1_parts(targets, first, right),
            "log_likelihood": np.log(chance.clip(LEAST, 1.0)),
            "brier": -(squares - chance**2 + (1.0 - chance) ** 2),
        }
    )


def _f1_parts(
    targets: npt.NDArray[np.object_], first: npt.NDArray[np.object_], right: npt.NDArray[np.bool_]
) -> Floats:
    """A right row of class c earns n / classes · 2 / (rows of c + answers c)."""
    asked, said = Counter(targets.tolist()), Counter(one for one in first.tolist() if one)
    share = 2.0 * len(targets) / max(len(asked | said), 1)
    each = [share / (asked[one] + said[one]) for one in targets.tolist()]
    return np.asarray(each, np.float64) * right
