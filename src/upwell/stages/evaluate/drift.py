"""Has the world changed? Old rows and new ones compared, column by column and all together.

Each column has an effect, the population stability index (PSI), and a test: Kolmogorov–Smirnov
for numbers, χ² for categories and for what is missing; Holm (1979) corrects for the number of
columns. Both must speak: PSI alone alarms on little data, a test alone on much. All columns
together are told apart by a linear classifier, judged on rows that it did not learn from (the
classifier two-sample test, Lopez-Paz and Oquab 2017). Rows must be independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from upwell.stages.evaluate.guards import Finding
from upwell.stages.evaluate.significance import holm

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CELLS = 10
"""Cells that the histogram of a number has, as many of all rows in each."""
FARTHEST = 1e300
RIDGE = 1e-2
FOLDS = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One number a row: a measured one, or the code (0, 1, …) of a category; NaN is missing."""

    name: str
    values: Floats
    is_number: bool


def psi(one: Floats, other: Floats) -> float:
    """Population stability index of two histograms (counts by cell): Σ (p − q) ln(p / q).

    Half a case is added to each cell that either has, so that empty cells stay finite. It is at
    least 0, the same both ways, and 0 where the counts are equal.

    >>> round(psi(np.array([50.0, 50.0]), np.array([80.0, 20.0])), 3)
    0.406
    """
    there = (one + other) > 0
    p, q = (counts[there] + 0.5 for counts in (one, other))
    p, q = p / p.sum(), q / q.sum()
    return max(0.0, float(((p - q) * np.log(p / q)).sum()))


def by_chance(one: Floats, other: Floats) -> float:
    """The PSI that two samples of one distribution have on average: (cells − 1)(1/n + 1/m).

    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index".
    """
    cells = int(((one + other) > 0).sum())
    sizes = (max(float(counts.sum()), 1.0) for counts in (one, other))
    return max(cells - 1, 0) * sum(1.0 / size for size in sizes)


def effect(one: Floats, other: Floats) -> float:
    """PSI beyond what chance makes, at least 0."""
    return max(0.0, psi(one, other) - by_chance(one, other))


def marginal(columns: Sequence[Column], is_new: Bools, confidence: float) -> Finding:
    """The largest effect of the columns that changed significantly, and how many those are.

    The value is 0 where none did. ``columns`` hold one value a row; ``is_new`` (n,) says of which
    sample a row is, and each has rows. There is at least one column.
    """
    measured = [_measured(column, is_new) for column in columns]
    sure = np.array(holm([chance for _, chance in measured])) < 1.0 - confidence
    changed = np.where(sure, np.array([size for size, _ in measured]), 0.0)
    worst = int(changed.argmax())
    new = int(is_new.sum())
    told = {"columns": len(columns), "changed": int(sure.sum()), "old": len(is_new) - new}
    name = columns[worst].name if sure.any() else "–"
    return Finding(float(changed[worst]), bool(sure.any()), {**told, "new": new, "column": name})


def joint(features: Floats, is_new: Bools, confidence: float, rng: np.random.Generator) -> Finding:
    """How well the samples are told apart by ``features`` (n, d): AUC on held-out rows.

    .5 is not at all. Half of the rows train a ridge discriminant that judges the other half, and
    the other way round; the AUC is the mean of both. It is sure where Mann and Whitney's test
    (normal, one-sided) of one half says so: both halves find much the same, so their mean is no
    more certain than either.
    """
    fold = np.empty(len(is_new), np.int64)
    for part in (is_new, ~is_new):
        fold[part] = rng.permutation(int(part.sum())) % FOLDS
    found = []
    for held in range(FOLDS):
        weights = _discriminant(features[fold != held], is_new[fold != held])
        found.append(auc(features[fold == held] @ weights, is_new[fold == held]))
    value = float(np.mean(found))
    new = int(is_new.sum())
    old = len(is_new) - new
    deviation = math.sqrt((len(is_new) / FOLDS + 1) / (12 * old * new / FOLDS**2))
    reach = NormalDist().inv_cdf(confidence)
    told = {"old": old, "new": new, "by_chance": 0.5 + reach * deviation}
    return Finding(value, value > 0.5 + reach * deviation, told)


def shares(old: Bools, new: Bools, confidence: float) -> Finding:
    """Whether a share changed: PSI of yes and no, and the test of two proportions (pooled z).

    >>> found = shares(np.arange(400) % 2 == 0, np.arange(400) % 5 == 0, 0.95)
    >>> round(found.value or 0, 2), found.sure, found.told["before"], found.told["after"]
    (0.41, True, 0.5, 0.2)
    """
    counts = [np.array([part.sum(), (~part).sum()], np.float64) for part in (old, new)]
    before, after = float(old.mean()), float(new.mean())
    pooled = float(counts[0][0] + counts[1][0]) / (len(old) + len(new))
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / len(old) + 1 / len(new)))
    z = abs(after - before) / deviation if deviation else 0.0
    sure = 2 * (1 - NormalDist().cdf(z)) < 1 - confidence
    told = {"before": before, "after": after, "old": len(old), "new": len(new)}
    return Finding(effect(*counts), sure, told)


def auc(scores: Floats, positive: Bools) -> float:
    """The chance that a positive row scores above another, ties counted half.

    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True]))
    0.875
    """
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    yes, no = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def cells(column: Column) -> npt.NDArray[np.int64]:
    """(n,) the histogram's cell of each row: quantiles of all rows, or the category; 0 is missing.

    A constant has one cell. Infinite numbers are in the outer cells.
    """
    values = np.clip(column.values, -FARTHEST, FARTHEST)
    known = ~np.isnan(values)
    found = np.zeros(len(values), np.int64)
    if not known.any():
        return found
    if not column.is_number:
        found[known] = values[known].astype(np.int64) + 1
        return found
    steps = np.linspace(0.0, 1.0, CELLS + 1)[1:-1]
    edges = np.unique(np.quantile(values[known], steps, method="lower"))
    found[known] = np.searchsorted(edges, values[known], side="left") + 1
    return found


def _measured(column: Column, is_new: Bools) -> tuple[float, float]:
    """Effect and p-value of a column."""
    codes = cells(column)
    size = int(codes.max()) + 1
    old, new = (
        np.bincount(codes[part], minlength=size).astype(np.float64) for part in (~is_new, is_new)
    )
    size_of_it = effect(old, new)
    if not column.is_number:
        return size_of_it, _chi_square(old, new)
    gone = np.isnan(column.values)
    tests = [_kolmogorov(column.values[~gone & ~is_new], column.values[~gone & is_new])]
    if gone.any():
        missing = [np.array([gone[p].sum(), (~gone[p]).sum()], float) for p in (~is_new, is_new)]
        tests.append(_chi_square(*missing))
    return size_of_it, min(1.0, len(tests) * min(tests))


def _kolmogorov(one: Floats, other: Floats) -> float:
    """p-value of the two-sample Kolmogorov–Smirnov test (asymptotic; ties make it careful)."""
    from scipy.special import kolmogorov

    if not len(one) or not len(other):
        return 1.0
    one, other = np.sort(one), np.sort(other)
    everything = np.concatenate([one, other])
    gap = np.abs(
        np.searchsorted(one, everything, side="right") / len(one)
        - np.searchsorted(other, everything, side="right") / len(other)
    ).max()
    return float(kolmogorov(gap * math.sqrt(len(one) * len(other) / len(everything))))


def _chi_square(one: Floats, other: Floats) -> float:
    """p-value of Pearson's test that two histograms have one distribution.

    Cells of which fewer than five are expected in either sample are taken together.
    """
    from scipy.special import chdtrc

    share = min(one.sum(), other.sum()) / (one.sum() + other.sum())
    rare = (one + other) * share < 5.0
    table = np.array(
        [[*counts[~rare], counts[rare].sum()] for counts in (one, other)], dtype=np.float64
    )
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(chdtrc(table.shape[1] - 1, ((table - expected) ** 2 / expected).sum()))


def _discriminant(features: Floats, is_new: Bools) -> Floats:
    """(d,) weights of Fisher's linear discriminant with a ridge."""
    means = [features[part].mean(axis=0) for part in (is_new, ~is_new)]
    apart = np.where(is_new[:, None], features - means[0], features - means[1])
    spread = apart.T @ apart / len(features)
    ridge = RIDGE + np.trace(spread) / max(len(spread), 1) * len(spread) / len(features)
    return np.linalg.solve(spread + ridge * np.eye(len(spread)), means[0] - means[1])
