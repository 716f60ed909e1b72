"""Answers of many raters about many items, coded as integers: what every rater model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import betaincinv, logsumexp

from upwell.errors import StageError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SUREST = 0.98
"""A model's own belief counts as at most this: a rater must be able to change its mind."""


@dataclass(frozen=True, slots=True)
class Answers:
    """n answers: ``rater`` said that ``item`` is of class ``label``; each (n,), coded from 0.

    A cell is a rater together with a label that they gave at least once: ``cell`` (n,) is each
    answer's, ``cell_rater`` and ``cell_label`` (c,) say whose and which, sorted by rater. There
    are at most n cells, so what is kept per cell grows with the answers, never with
    raters times classes.
    """

    item: Ints
    rater: Ints
    label: Ints
    cell: Ints
    cell_rater: Ints
    cell_label: Ints
    items: int
    raters: int
    classes: int

    @property
    def size(self) -> int:
        """How many answers there are."""
        return len(self.item)

    def by_cell(self, keep: Bools | None = None) -> Any:
        """(items, c) sparse: how often a cell speaks of an item, in the answers that are kept."""
        rows = np.arange(self.size) if keep is None else np.flatnonzero(keep)
        shape = (self.items, len(self.cell_rater))
        return _counts(self.item[rows], self.cell[rows], shape)

    def votes(self, keep: Bools | None = None) -> Floats:
        """(items, classes): how many answers each class got."""
        rows = np.arange(self.size) if keep is None else np.flatnonzero(keep)
        place = self.item[rows] * self.classes + self.label[rows]
        counts = np.bincount(place, minlength=self.items * self.classes)
        return counts.reshape(self.items, self.classes).astype(np.float64)

    def cells_of_raters(self) -> Any:
        """(raters, c) sparse: 1 where a cell is a rater's."""
        return _counts(self.cell_rater, np.arange(len(self.cell_rater)),
                       (self.raters, len(self.cell_rater)))  # fmt: skip

    def cells_of_labels(self) -> Any:
        """(classes, c) sparse: 1 where a cell is about a label."""
        return _counts(self.cell_label, np.arange(len(self.cell_label)),
                       (self.classes, len(self.cell_label)))  # fmt: skip


def coded(
    item: npt.ArrayLike,
    rater: npt.ArrayLike,
    label: npt.ArrayLike,
    *,
    items: int = 0,
    raters: int = 0,
    classes: int = 0,
) -> Answers:
    """Check three columns of codes and index them.

    ``items``, ``raters`` and ``classes`` are at least what the codes need; greater numbers make
    room for those that nobody mentioned. Raises StageError ``raters.lengths`` or ``raters.codes``.
    """
    named = {"item": item, "rater": rater, "label": label}
    columns = [_codes(name, column) for name, column in named.items()]
    if len({len(column) for column in columns}) > 1:
        raise StageError("raters.lengths", lengths=[len(column) for column in columns])
    needed = [int(column.max(initial=-1)) + 1 for column in columns]
    sizes = [max(pair) for pair in zip(needed, (items, raters, classes), strict=True)]
    keys, cell = np.unique(columns[1] * max(sizes[2], 1) + columns[2], return_inverse=True)
    whose, which = np.divmod(keys, max(sizes[2], 1))
    return Answers(
        item=columns[0],
        rater=columns[1],
        label=columns[2],
        cell=cell.astype(np.int64),
        cell_rater=whose,
        cell_label=which,
        items=sizes[0],
        raters=sizes[1],
        classes=sizes[2],
    )


def log_prior(belief: npt.ArrayLike, answers: Answers) -> Floats:
    """(items, classes) logarithms of what a model believes of each item, before any answer.

    Beliefs above ``SUREST`` are mixed with chance until they are not. Raises StageError
    ``raters.belief`` for another shape, for what is no number or negative, and for rows of zeros.
    """
    given = np.asarray(belief, np.float64)
    whole = given.shape == (answers.items, answers.classes) and bool(np.isfinite(given).all())
    if not whole or given.min(initial=0.0) < 0 or given.sum(1).min(initial=1.0) <= 0:
        wanted = (answers.items, answers.classes)
        raise StageError("raters.belief", shape=given.shape, wanted=wanted)
    share = given / given.sum(1, keepdims=True)
    chance = 1.0 / max(answers.classes, 1)
    top = share.max(axis=1, initial=chance, keepdims=True)
    mixed = np.clip((SUREST - chance) / np.maximum(top - chance, 1e-12), 0.0, 1.0)
    blended: Floats = np.log(chance + mixed * (share - chance))
    return blended


def softmax(logits: Floats) -> Floats:
    """Rows that add up to 1.

    >>> softmax(np.log([[1.0, 3.0]])).tolist()
    [[0.25, 0.75]]
    """
    # Along columns, because numpy is slow at reducing many short rows.
    columns = np.ascontiguousarray(logits.T)
    columns = np.exp(columns - columns.max(axis=0))
    shares: Floats = np.ascontiguousarray((columns / columns.sum(axis=0)).T)
    return shares


def interval(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """95 % limits of Beta distributions with these moments.

    >>> low, high = interval(np.array([0.8]), np.array([0.8 * 0.2 / 11]))
    >>> [round(float(limit[0]), 3) for limit in (low, high)]
    [0.518, 0.972]
    """
    inside = np.clip(mean, 1e-6, 1 - 1e-6)
    weight = np.maximum(inside * (1 - inside) / np.maximum(variance, 1e-12) - 1, 1e-3)
    a, b = inside * weight, (1 - inside) * weight
    return betaincinv(a, b, 0.025), betaincinv(a, b, 0.975)


def belonging(kind: Floats, marginal: Floats) -> tuple[Floats, float]:
    """The E-step of a mixture of kinds of raters, and the evidence of all raters, in nats.

    ``kind`` (raters, k) is the share of each rater in each kind so far, ``marginal`` (raters, k)
    the logarithm of the probability of a rater's answers in each kind. A kind that nobody is of
    keeps one imagined rater.
    """
    share = (kind.sum(0) + 1.0) / (kind.shape[0] + kind.shape[1])
    joint = np.log(share) + marginal
    total = logsumexp(joint, axis=1)
    return np.exp(joint - total[:, None]), float(total.sum())


def _codes(name: str, column: npt.ArrayLike) -> Ints:
    given = np.asarray(column)
    if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
        raise StageError("raters.codes", column=name)
    codes = given.astype(np.int64)
    if codes.min(initial=0) < 0:
        raise StageError("raters.codes", column=name)
    return codes


def _counts(rows: Ints, columns: Ints, shape: Sequence[int]) -> Any:
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=tuple(shape))
