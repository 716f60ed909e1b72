"""The closed-form neighbour matrix of the recommender: item-item ridge regression with recency.

B minimises Σ_u ‖K_u^½ (X_u − X_u B)‖² + ridge·‖B‖² with a zero diagonal. The rows of X_u are user
u's events and K_u[p, q] = floor + exp(−|p − q| / reach): events close in a user's sequence count
more than events far apart. Without order (reach = ∞) this is EASE (Steck, WWW 2019) on users' rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_SHARPNESS = 8.0


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Hyper-parameters, chosen on validation.

    ``reach`` is in events, infinite where order says nothing; ``share`` is the power of the
    diagonal of the inverse that B is divided by (1: EASE); ``spread`` is how far the columns of
    new items spread, as a part of what B's own do; ``longest`` bounds the events of one user.
    """

    ridge: float = 50.0
    reach: float = 15.0
    floor: float = 0.02
    share: float = 1.0
    items: int = 4096
    spread: float = 0.85
    longest: int = 1000


def fit_neighbours(
    user: Ints, item: Ints, weight: Floats, count: int, how: Neighbours
) -> tuple[Floats, Ints]:
    """B (m, m) and the items (m,) of its rows: the most frequent of ``count``, at most how.items.

    Rows are sorted by user, then time. O(m³) or, without order, O(m²·min(m, users)); memory is
    8·m² bytes.
    """
    frequency = np.bincount(item, minlength=count)
    rows = np.argsort(-frequency, kind="stable")[: min(how.items, int((frequency > 0).sum()))]
    place = np.full(count, -1)
    place[rows] = np.arange(rows.size)
    used = place[item] >= 0
    user, column, weight = user[used], place[item[used]], weight[used].astype(np.float32)
    users = int(user.max(initial=0)) + 1
    if np.isinf(how.reach) and users < rows.size:
        near, diagonal = _by_users(user, column, weight, (users, rows.size), how.ridge)
    else:
        near, diagonal = _by_items(_gram(user, column, weight, rows.size, how), how.ridge)
    near /= np.maximum(diagonal, 1e-6) ** how.share
    np.fill_diagonal(near, 0.0)
    return near, rows


def bridge(near: Floats, rows: Ints, text: Floats, new: Ints, spread: float) -> Floats:
    """Columns (m, n) of B for items ``new`` (n,) that nobody has met: means over like texts.

    ``text`` (items, d) is centred and of length 1. A like item counts for itself too (its own
    column has a zero there).
    """
    alike = np.clip(text[rows] @ text[new].T, 0, 1) ** _SHARPNESS
    within = np.clip(text[rows] @ text[rows].T, 0, 1) ** _SHARPNESS
    np.fill_diagonal(within, 0)
    with_itself = near + 0.1 * np.eye(len(rows), dtype=np.float32)
    columns = with_itself @ (alike / (alike.sum(0) + 1e-3))
    own = with_itself @ (within / (within.sum(0) + 1e-3))
    return np.asarray(columns * (spread * near.std() / max(float(own.std()), 1e-9)), np.float32)


def _by_items(gram: Floats, ridge: float) -> tuple[Floats, Floats]:
    """−ridge·P off the diagonal and the diagonal ridge·P_jj, for P = (gram + ridge)⁻¹."""
    gram[np.diag_indices_from(gram)] += ridge
    half = scipy.linalg.cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = scipy.linalg.lapack.spotri(half, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    inverse *= np.float32(-ridge)
    return inverse, -np.diag(inverse).copy()


def _by_users(
    user: Ints, column: Ints, weight: Floats, size: tuple[int, int], ridge: float
) -> tuple[Floats, Floats]:
    """The same by Woodbury: ridge·P = 1 − Xᵀ(XXᵀ + ridge)⁻¹X; cheaper with few users."""
    x = scipy.sparse.csr_matrix((weight, (user, column)), size, dtype=np.float32)
    kernel = (x @ x.T).toarray()
    kernel[np.diag_indices_from(kernel)] += ridge
    half = scipy.linalg.cholesky(kernel, lower=True, overwrite_a=True, check_finite=False)
    solved = scipy.linalg.solve_triangular(half, x.toarray(), lower=True, check_finite=False)
    near: Floats = solved.T @ solved
    return near, 1 - np.diag(near)


def _gram(user: Ints, column: Ints, weight: Floats, items: int, how: Neighbours) -> Floats:
    gram = np.zeros((items, items), np.float32)
    bounds = np.concatenate(([0], np.cumsum(np.bincount(user))))
    longest = min(int(np.diff(bounds).max(initial=1)), how.longest)
    close = (np.exp(-np.arange(longest) / how.reach) + how.floor).astype(np.float32) / (
        1 + how.floor
    )
    apart = np.abs(np.subtract.outer(np.arange(longest), np.arange(longest)))
    kernel = close[apart]
    for begin, end in pairwise(bounds.tolist()):
        start = max(begin, end - how.longest)
        items_of, by, n = column[start:end], weight[start:end], end - start
        pairs, amounts = np.ix_(items_of, items_of), kernel[:n, :n] * by * by[:, None]
        if np.unique(items_of).size < n:
            np.add.at(gram, pairs, amounts)  # An item chosen twice adds up; += keeps the last.
        else:
            gram[pairs] += amounts
    return gram
