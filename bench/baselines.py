"""What a recommender must beat to be one: popular, recently popular, alike in text.

Each baseline gives scores (m, items), higher is better, to be ranked by `protocol.top_items`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bench.protocol import Floats, Interactions, Ints, Split, mark, top_items

DAY = 86_400.0
WINDOWS_DAYS = (1, 2, 3, 7, 14, 28, 56, 112)
LASTS = (1, 3, 10, 30, 100)
Anchor = Literal["end", "user"]
Pooling = Literal["mean", "max"]


@dataclass(frozen=True, slots=True)
class Window:
    """Popularity over the last `days` before the end of the data or the user's own last row."""

    days: int
    anchor: Anchor


@dataclass(frozen=True, slots=True)
class Reading:
    """Text neighbours of a user's `last` items, by the mean or the greatest similarity."""

    last: int
    pooling: Pooling


def popular(known: Interactions, users: Ints, items: int) -> Floats:
    """The number of known rows of each item, the same for every user."""
    counts = np.bincount(known.item, minlength=items).astype(np.float64)
    return np.broadcast_to(counts, (users.size, items))


def recent_popular(known: Interactions, users: Ints, items: int, window: Window) -> Floats:
    """The number of each item's rows within the window; all-time popularity only breaks ties.

    With the anchor `user`, a row later than the user's last known row does not count: nothing is
    taken from after the moment at which the user is served.
    """
    ties = np.bincount(known.item, minlength=items) / (len(known) + 1.0)
    if window.anchor == "end":
        recent = known.when > known.when.max() - window.days * DAY
        counts = np.bincount(known.item[recent], minlength=items)
        return np.broadcast_to(counts + ties, (users.size, items))
    order = np.argsort(known.when, kind="stable")
    when, item = known.when[order], known.item[order]
    moment = np.full(int(max(users.max(), known.user.max())) + 1, known.when.max())
    moment[known.user] = known.when
    ends = np.searchsorted(when, moment[users], side="right")
    starts = np.searchsorted(when, moment[users] - window.days * DAY, side="right")
    scores = np.empty((users.size, items))
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        scores[row] = np.bincount(item[start:end], minlength=items) + ties
    return scores


def choose_window(split: Split) -> Window:
    """The window with the best NDCG@10 on validation; the data must have times."""
    if not split.dataset.timed:
        raise ValueError(f"{split.dataset.name} has no times: there is no recent popularity in it")
    items, targets, known = split.dataset.items, split.validation, split.known("validation")
    anchors: tuple[Anchor, ...] = ("end", "user")

    def worth(window: Window) -> float:
        scores = recent_popular(known, targets.user, items, window)
        return float(mark(top_items(scores, targets.user, known), targets, items).ndcg.mean())

    return max((Window(days, anchor) for days in WINDOWS_DAYS for anchor in anchors), key=worth)


def text_neighbours(
    vectors: npt.NDArray[np.float32], known: Interactions, users: Ints, reading: Reading
) -> Floats:
    """Cosine similarity of every item's text to the texts of a user's last known items.

    `vectors` (items, d) come from the encoder under test, so that only the use of texts differs.
    They need not be normalised. Users without a known item score every item 0.
    """
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    scores = np.zeros((users.size, vectors.shape[0]))
    starts = np.searchsorted(known.user, users, side="left")
    ends = np.searchsorted(known.user, users, side="right")
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        history = unit[known.item[max(start, end - reading.last) : end]]
        if not len(history):
            continue
        if reading.pooling == "mean":
            scores[row] = unit @ history.mean(axis=0)
        else:
            scores[row] = (unit @ history.T).max(axis=1)
    return scores


def readings() -> tuple[Reading, ...]:
    """Every reading to choose among on validation."""
    poolings: tuple[Pooling, ...] = ("mean", "max")
    return tuple(Reading(last, pooling) for last in LASTS for pooling in poolings)
