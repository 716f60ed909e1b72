"""What a list of answers is worth: rank marks, catalogue coverage, concentration, calibration.

One item is right per row. Ranks count from 1; rank 0 means that the right one was not shown.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def ranks(outputs: pa.ChunkedArray, targets: pa.ChunkedArray) -> Integers:
    """(n,) rank of each row's target in its list of outputs, 0 where it is absent.

    >>> shown = pa.chunked_array([[["a", "b"], ["a", "b"], []]])
    >>> ranks(shown, pa.chunked_array([["b", "c", "a"]]))
    array([2, 0, 0])
    """
    lists = _whole(outputs)
    found = np.zeros(len(lists), dtype=np.int64)
    if not len(lists):
        return found
    rows = np.asarray(pc.list_parent_indices(lists), dtype=np.int64)
    right = pc.equal(pc.list_flatten(lists), _whole(targets).take(pa.array(rows)))
    hit = np.flatnonzero(np.asarray(pc.fill_null(right, False)))
    starts = np.searchsorted(rows, np.arange(len(lists)))
    # Written from the last to the first, so that the best place of a repeated output stays.
    found[rows[hit][::-1]] = (hit - starts[rows[hit]] + 1)[::-1]
    return found


def hit_rate(ranks: Integers, k: int) -> Floats:
    """(n,) 1 where the right item is among the first ``k``, else 0.

    >>> hit_rate(np.array([1, 3, 0]), k=2)
    array([1., 0., 0.])
    """
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def ndcg(ranks: Integers, k: int) -> Floats:
    """(n,) discounted gain 1 / log2(1 + rank) within the first ``k``; 1 is the ideal.

    >>> ndcg(np.array([1, 3, 11, 0]), k=10)
    array([1. , 0.5, 0. , 0. ])
    """
    return hit_rate(ranks, k) / np.log2(1.0 + np.maximum(ranks, 1))


def coverage(outputs: pa.ChunkedArray, catalogue: int) -> float:
    """Share of a catalogue of that many items that was shown to anybody at all.

    >>> coverage(pa.chunked_array([[["a", "b"], ["a"]]]), catalogue=8)
    0.25
    """
    seen = len(pc.unique(pc.list_flatten(_whole(outputs))))
    return seen / max(catalogue, seen, 1)


def concentration(outputs: pa.ChunkedArray, catalogue: int) -> float:
    """Gini coefficient of how often each item was shown: 0 is even, near 1 one item takes all.

    Items of the catalogue that were never shown count with 0.

    >>> concentration(pa.chunked_array([[["a"], ["a"], ["a"], ["b"]]]), catalogue=2)
    0.25
    """
    shown = pc.value_counts(pc.list_flatten(_whole(outputs)))
    counts = np.asarray(shown.field("counts"), dtype=np.float64)
    if not counts.sum():
        return 0.0
    counts = np.sort(np.concatenate([np.zeros(max(0, catalogue - len(counts))), counts]))
    places = np.arange(1, len(counts) + 1)
    total = len(counts) * counts.sum()
    return float(2.0 * (places * counts).sum() / total - (len(counts) + 1) / len(counts))


def calibration_error(confidence: Floats, hit: Floats, bins: int = 15) -> float:
    """Expected calibration error: mean |confidence − share of hits| over bins of equal size.

    >>> calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0.0, 0.0, 1.0, 1.0]), bins=2)
    0.15
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split((confidence - hit)[order], min(bins, len(order)))
    return round(float(sum(abs(part.sum()) for part in parts)) / len(order), 12)


def first_scores(scores: pa.ChunkedArray) -> Floats:
    """(n,) score of each row's first answer, 0 where the list is empty.

    >>> first_scores(pa.chunked_array([[[0.5, 0.1], []]]))
    array([0.5, 0. ])
    """
    lists = _whole(scores)
    first = np.zeros(len(lists))
    filled = np.flatnonzero(np.asarray(pc.greater(pc.list_value_length(lists), 0)))
    first[filled] = np.asarray(pc.list_element(lists.take(pa.array(filled)), 0))
    return first


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
