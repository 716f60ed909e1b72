"""Which rows share a batch: users whole, pairs together, like lengths beside each other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc

from upwell.tables import CORRECTED

BUCKET = 64
"""Rows or users are sorted by length within random groups of this many batches."""

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
    rows: pa.Table, learned: NDArray[np.bool_], units: Order, size: int, seed: int
) -> list[Order]:
    """Positions of the rows of each batch: rows that are learned from, ``size`` in each.

    Rows with inputs of similar length are together, for the shorter of two texts is padded to the
    longer. Rows with the same number in ``units`` (a place of one of them) share a batch, which may
    then have some rows more.
    """
    (useful,) = np.nonzero(learned)
    first, code, count = np.unique(units[useful], return_inverse=True, return_counts=True)
    together = useful[np.argsort(code, kind="stable")]
    start = np.cumsum(count) - count
    length = pc.utf8_length(rows["input"]).to_numpy()[first]
    return [
        np.concatenate([together[start[u] : start[u] + count[u]] for u in one])
        for one in _packed(np.arange(len(first)), length, count, size, seed)
    ]


def pairs(partner: Order) -> Order:
    """(n,) the unit of each row: the first place of a row and its partner.

    >>> pairs(np.array([-1, 2, 1])).tolist()
    [0, 1, 1]
    """
    place = np.arange(len(partner))
    return np.where(partner >= 0, np.minimum(place, partner), place)


def same_input(rows: pa.Table, learned: NDArray[np.bool_], size: int) -> Order:
    """(n,) the unit of each row: rows that are learned from with one input, ``size`` at most.

    >>> rows = pa.table({"input": ["a", "b", "a", "a"]})
    >>> same_input(rows, np.array([True] * 4), 2).tolist()
    [0, 1, 0, 3]
    """
    code = rows["input"].combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.lexsort((~learned, code))
    start = np.searchsorted(code[order], code[order])
    head = order[np.arange(len(order)) - (np.arange(len(order)) - start) % size]
    unit = np.empty_like(order)
    unit[order] = head
    return unit


def partners(rows: pa.Table) -> Order:
    """(n,) the place of the other row of each row's correction, −1 where there is none.

    >>> partners(pa.table({"id": ["a", "b", "b#correction"]})).tolist()
    [-1, 2, 1]
    """
    found = np.full(rows.num_rows, -1)
    (right,) = np.nonzero(pc.ends_with(rows["id"], CORRECTED).to_numpy())
    if len(right):
        shown = pc.utf8_slice_codeunits(rows["id"].take(right), 0, -len(CORRECTED))
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
