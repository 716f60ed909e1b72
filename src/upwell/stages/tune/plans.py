"""Which rows share a batch: users whole, pairs together, like lengths beside each other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc

BUCKET = 64
"""Rows or users are sorted by length within random groups of this many batches."""
CORRECTION = "#correction"
"""Ends the id of the row that a correction makes beside the row of what was shown."""

Order = NDArray[np.int64]


def by_user(rows: pa.Table, learned: NDArray[np.bool_], size: int, seed: int) -> list[Order]:
    """Positions of the rows of each batch, about ``size`` rows in each: whole users.

    Context rows are included, in the table's order; users of similar length are together; users
    of whom nothing is learned are left out.
    """
    users = rows["user"].combine_chunks().dictionary_encode()
    code = users.indices.to_numpy()
    length = np.bincount(code, minlength=len(users.dictionary))
    start = np.cumsum(length) - length
    together = np.argsort(code, kind="stable")
    useful = np.unique(code[learned])
    return [
        np.concatenate([together[start[u] : start[u] + length[u]] for u in one])
        for one in _packed(useful, length, length, size, seed)
    ]


def by_row(
    rows: pa.Table, learned: NDArray[np.bool_], partner: Order, size: int, seed: int
) -> list[Order]:
    """Positions of the rows of each batch: rows that are learned from, ``size`` in each.

    Rows with inputs of similar length are together, for the shorter of two texts is padded to the
    longer. A row and its ``partner`` share a batch, which may then have one row more.
    """
    both = learned & (partner >= 0)
    both[both] = learned[partner[both]]
    place = np.arange(len(learned))
    (first,) = np.nonzero(learned & (~both | (place < partner)))
    length = pc.utf8_length(rows["input"]).to_numpy()
    return [
        np.concatenate([[u, partner[u]] if both[u] else [u] for u in one]).astype(np.int64)
        if both[one].any()
        else one
        for one in _packed(first, length, 1 + both, size, seed)
    ]


def partners(rows: pa.Table) -> Order:
    """(n,) the place of the other row of each row's correction, −1 where there is none.

    >>> partners(pa.table({"id": ["a", "b", "b#correction"]})).tolist()
    [-1, 2, 1]
    """
    found = np.full(rows.num_rows, -1)
    (right,) = np.nonzero(pc.ends_with(rows["id"], CORRECTION).to_numpy())
    if len(right):
        shown = pc.utf8_slice_codeunits(rows["id"].take(right), 0, -len(CORRECTION))
        other = pc.index_in(shown, rows["id"].combine_chunks()).fill_null(-1).to_numpy()
        found[right] = other
        found[other[other >= 0]] = right[other >= 0]
    return found


def _packed(
    units: Order, length: Order, count: NDArray[np.int64], size: int, seed: int
) -> list[Order]:
    """Units in batches of about ``size`` rows, ``count`` rows in each unit."""
    shuffled = np.random.default_rng(seed).permutation(units)
    bucket = np.cumsum(count[shuffled]) // (BUCKET * size)
    chosen = shuffled[np.lexsort((length[shuffled], bucket))]
    batch = (np.cumsum(count[chosen]) - count[chosen]) // size
    return np.split(chosen, np.nonzero(np.diff(batch))[0] + 1) if len(chosen) else []
