"""Histories without copies: each row's view into the sequence of its own user.

The rows of a user, in order of time and arrival, are one stretch of a shared column. What a row
may know of it is the part before itself, so a history is only an offset and a length. A million
histories of fifty items weigh as much as a million items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.tables import Dataset

Integers = npt.NDArray[np.int64]


def with_history(data: Dataset, longest: int) -> Dataset:
    """The dataset with ``history`` columns, at most ``longest`` rows each, oldest first.

    ``history`` (list of targets), ``history_sign`` (list of −1, 0, 1: 0 is a label or context)
    and ``history_at`` (list of µs since 1970). A row of train or validation sees the rows of its
    user in train and validation that stand before it; a row of test sees those of test, which
    holds its own context. Rows of one moment stand in order of arrival: a history holds what
    arrived before, which features of that moment do not know. Each part must be sorted by user
    and then time.
    """
    learned = _viewed([data.train, data.validation], longest)
    judged = _viewed([data.test], longest)
    return Dataset(learned[0], learned[1], judged[0], data.items)


def _viewed(parts: list[pa.Table], longest: int) -> list[pa.Table]:
    """The parts, each with views into the one sequence that they make together."""
    whole = pa.concat_tables(parts).combine_chunks()
    order, places, starts = _sequence(whole, [part.num_rows for part in parts])
    offsets = np.maximum(starts, places - longest)
    columns = _columns(whole, order)
    found, first = [], 0
    for part in parts:
        rows = slice(first, first + part.num_rows)
        first += part.num_rows
        begins, sizes = pa.array(offsets[rows]), pa.array((places - offsets)[rows])
        views = {
            name: pa.LargeListViewArray.from_arrays(begins, sizes, values)
            for name, values in columns.items()
        }
        found.append(pa.table({**dict(zip(part.column_names, part.columns, strict=True)), **views}))
    return found


def _sequence(whole: pa.Table, sizes: list[int]) -> tuple[Integers, Integers, Integers]:
    """Order of rows by user, time and arrival; each row's place in it and its user's start."""
    users = whole["user"].combine_chunks().dictionary_encode().indices.to_numpy()
    times = whole["at"].combine_chunks().cast(pa.int64()).to_numpy()
    order = np.lexsort((np.arange(len(users)), times, users))
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    sorted_users = users[order]
    is_first = np.append(True, sorted_users[1:] != sorted_users[:-1])[: len(order)]
    begins = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    return order, places, begins[places]


def _columns(whole: pa.Table, order: Integers) -> dict[str, pa.Array]:
    """The shared sequences that histories are views of."""
    taken = pa.array(order)
    signs = whole["sign"].combine_chunks().fill_null(0).cast(pa.int8())
    times = whole["at"].combine_chunks().cast(pa.int64())
    return {
        "history": whole["target"].combine_chunks().take(taken),
        "history_sign": signs.take(taken),
        "history_at": times.take(taken),
    }
