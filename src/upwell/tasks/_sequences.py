"""Rows with histories as the recommender's tensors: sequences, asked places, what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
TARGETS = 45
"""Rows of a user that share a sequence when learning; the rest of it is what came before."""
_HOUR = 3.6e9


@dataclass(frozen=True, slots=True)
class Lists:
    """A list column as one sequence of values and each row's stretch of it."""

    values: pa.Array
    starts: Ints
    ends: Ints


def lists(column: pa.ChunkedArray) -> Lists:
    """Lists and list views alike, without copying values: only the stretch that is used."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    starts = np.asarray(whole.offsets, dtype=np.int64)
    if pa.types.is_large_list_view(whole.type) or pa.types.is_list_view(whole.type):
        starts = starts[: len(whole)]
        ends = starts + np.asarray(whole.sizes, dtype=np.int64)
    else:
        starts, ends = starts[:-1], starts[1:]
    first, last = int(starts.min(initial=len(whole.values))), int(ends.max(initial=0))
    used = whole.values.slice(first, max(last - first, 0))
    return Lists(used, starts - first, ends - first)


@dataclass(frozen=True, slots=True)
class Window:
    """Successive events of one user, and how many came before the first of them."""

    items: Ints
    signs: Floats
    times: Ints
    first: int


@dataclass(frozen=True, slots=True)
class Histories:
    """Item numbers, signs and times (µs) of what came before each row."""

    items: Ints
    signs: Floats
    times: Ints
    starts: Ints
    ends: Ints


def histories(rows: pa.Table, index: Mapping[str, int]) -> Histories:
    """The history columns of rows; items outside the catalogue get its size."""
    items, signs = lists(rows["history"]), lists(rows["history_sign"])
    times = lists(rows["history_at"])
    return Histories(
        numbers(items.values, index),
        np.asarray(signs.values, dtype=np.float32),
        np.asarray(times.values, dtype=np.int64),
        items.starts,
        items.ends,
    )


def numbers(items: pa.Array | pa.ChunkedArray, index: Mapping[str, int]) -> Ints:
    """Numbers of items; one that the catalogue lacks gets the catalogue's size."""
    whole = items.combine_chunks() if isinstance(items, pa.ChunkedArray) else items
    coded = whole.dictionary_encode()
    known = [index.get(item, len(index)) for item in coded.dictionary.to_pylist()]
    places = np.asarray(coded.indices, dtype=np.int64)
    found: Ints = np.asarray(known, dtype=np.int64)[places]
    return found


def to_learn(
    rows: pa.Table, index: Mapping[str, int], length: int, width: int
) -> dict[str, Tensor]:
    """One sequence for up to ``TARGETS`` successive rows of a user, each row asked in its place.

    Rows must stand together by user, in order; what came before the first is in its history.
    """
    past, size = histories(rows, index), rows.num_rows
    target = numbers(rows["target"], index)
    sign = rows["sign"].fill_null(0).to_numpy().astype(np.float32)
    at = rows["at"].cast(pa.int64()).to_numpy()
    user, place = np.zeros(size, np.int64), np.zeros(size, np.int64)
    windows: list[Window] = []
    for begin, end in _together(rows["user"]):
        before = slice(past.starts[begin], past.ends[begin])
        items, signs, times = (
            np.concatenate([past.items[before], target[begin:end]]),
            np.concatenate([past.signs[before], sign[begin:end]]),
            np.concatenate([past.times[before], at[begin:end]]),
        )
        known = int(past.ends[begin] - past.starts[begin]) - begin
        for start in range(begin, end, TARGETS):
            stop = min(start + TARGETS, end)
            first = max(0, known + stop - 1 - length)
            user[start:stop] = len(windows)
            place[start:stop] = known + np.arange(start, stop) - first
            part = slice(first, known + stop - 1)
            windows.append(Window(items[part], signs[part], times[part], first))
    return {
        **_padded(windows, len(index)),
        "user": torch.from_numpy(user),
        "place": torch.from_numpy(place),
        "features": features(rows, width),
        "target": torch.from_numpy(np.minimum(target, len(index) - 1)),
        # An item that the catalogue lacks cannot be learned: it is asked for by nobody.
        "wanted": torch.from_numpy(
            np.flatnonzero((rows["weight"].to_numpy() > 0) & (target < len(index)))
        ),
        "signed": torch.from_numpy(rows["sign"].is_valid().to_numpy()),
    }


def to_answer(
    rows: pa.Table,
    index: Mapping[str, int],
    length: int,
    width: int,
    reach: float,
    floor: float,
) -> dict[str, Tensor]:
    """One sequence a row, asked after its newest event, and all that was seen before.

    An event that is ``a`` events old has recency exp(−a / reach) + floor; a disliked one has 0.
    """
    past, count = histories(rows, index), rows.num_rows
    windows = []
    for start, end in zip(past.starts, past.ends, strict=True):
        first = max(start, end - length)
        part = slice(first, end)
        windows.append(
            Window(past.items[part], past.signs[part], past.times[part], int(first - start))
        )
    sizes = past.ends - past.starts
    offsets = np.cumsum(sizes) - sizes
    ages = np.repeat(offsets + sizes, sizes) - 1 - np.arange(sizes.sum())
    stretches = [slice(a, b) for a, b in zip(past.starts, past.ends, strict=True)]
    seen = [past.items[part] for part in stretches]
    kept = np.concatenate([*(past.signs[part] >= 0 for part in stretches), np.zeros(0, bool)])
    return {
        **_padded(windows, len(index)),
        "user": torch.arange(count),
        "place": torch.tensor([len(window.items) for window in windows], dtype=torch.int64),
        "features": features(rows, width),
        "seen": torch.from_numpy(np.concatenate([*seen, np.zeros(0, np.int64)])),
        "recency": torch.from_numpy((kept * (np.exp(-ages / reach) + floor)).astype(np.float32)),
        "offsets": torch.from_numpy(offsets),
    }


def features(rows: pa.Table, width: int) -> Tensor:
    """(n, width) behaviour features."""
    values = lists(rows["features"])
    flat = np.asarray(values.values, dtype=np.float32)
    places = values.starts[:, None] + np.arange(width)
    return torch.from_numpy(flat[places])


def _together(users: pa.ChunkedArray) -> list[tuple[int, int]]:
    """Where each user's rows begin and end."""
    codes = users.combine_chunks().dictionary_encode().indices.to_numpy()
    cuts = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    bounds = [0, *cuts.tolist(), len(codes)]
    return [(a, b) for a, b in pairwise(bounds) if b > a]


def _padded(windows: list[Window], items: int) -> dict[str, Tensor]:
    """``items`` (b, l) and ``tokens`` (b, l, 4) of windows, padded at the end."""
    size = (len(windows), max((len(window.items) for window in windows), default=0))
    numbers_of = np.full(size, items, np.int64)
    tokens = np.zeros((*size, 4), np.float32)
    for row, window in enumerate(windows):
        n = len(window.items)
        gaps = np.diff(window.times, prepend=window.times[:1]) / _HOUR
        numbers_of[row, :n] = window.items
        tokens[row, :n, 0] = np.log1p(np.maximum(gaps, 0)) / 3
        tokens[row, :n, 1] = window.signs
        tokens[row, :n, 2] = window.signs > 0
        tokens[row, :n, 3] = np.log1p(window.first + np.arange(n)) / 4
    return {"items": torch.from_numpy(numbers_of), "tokens": torch.from_numpy(tokens)}
