"""What is known of users and items besides their ratings, as bases that a sampler can turn fast.

A linear effect x·β with β ~ N(0, 1/λ) has the values U·c with c_k ~ N(0, s_k²/λ), where X = U S Vᵀ.
In this basis the posterior of c given the values is diagonal, however many features there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXACT = 2000
"""Sides of at most this size are decomposed exactly, larger ones by random projection."""
RANK = 256
"""Components kept of a larger one."""
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class Basis:
    """``left`` (n, r) with orthonormal columns and ``spread`` (r,), singular values > 0.

    By ``right`` (m, r) features of somebody new become coordinates; None: the new have none.
    """

    left: Floats
    spread: Floats
    right: Floats | None

    def coordinates(self, features: Floats) -> Floats:
        """(k, r): the rows of ``left · spread`` that (k, m) features would have had."""
        if self.right is None:
            return np.zeros((len(features), len(self.spread)))
        return np.asarray(features @ self.right)


def of_features(features: Floats) -> Basis | None:
    """The basis of a table (n, m) of features; None where they are all zero."""
    return _decomposed(sparse.csr_array(features), keep_right=True)


def of_sets(owner: Ints, member: Ints, owners: int, members: int) -> Basis | None:
    """The basis of implicit sets: each owner has its members, each 1/√size (Koren 2008, SVD++)."""
    found = sparse.csr_array((np.ones(len(owner)), (owner, member)), shape=(owners, members))
    found.data[:] = 1.0
    size = np.maximum(np.asarray(found.sum(1)).ravel(), 1.0)
    return _decomposed(sparse.diags_array(1 / np.sqrt(size)) @ found, keep_right=False)


def standardised(features: Floats) -> tuple[Floats, Floats, Floats]:
    """Features with mean 0 and length about 1 a row, and the mean and scale that make them so.

    >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]]))[0].tolist()
    [[-0.7071067811865475, 0.0], [0.7071067811865475, 0.0]]
    """
    mean, scale = features.mean(0), features.std(0)
    scale = np.where(scale > _SMALLEST, scale, np.inf) * np.sqrt(max(features.shape[1], 1))
    return scaled(features, mean, scale), mean, scale


def scaled(features: Floats, mean: Floats, scale: Floats) -> Floats:
    """Features on the scale that ``standardised`` found; wild values count as five deviations."""
    most = 5.0 / np.sqrt(max(features.shape[1], 1))
    return np.clip((features - mean) / scale, -most, most)


def _decomposed(table: sparse.csr_array, *, keep_right: bool) -> Basis | None:
    rows, columns = table.shape
    if not rows or not columns or not table.nnz:
        return None
    if min(rows, columns) > EXACT:
        left, spread, right = _projected(table)
    elif rows <= columns:
        square, left = np.linalg.eigh((table @ table.T).toarray())
        spread = np.sqrt(np.maximum(square, 0.0))
        right = table.T @ left / np.maximum(spread, 1e-12)
    else:
        square, right = np.linalg.eigh((table.T @ table).toarray())
        spread = np.sqrt(np.maximum(square, 0.0))
        left = table @ right / np.maximum(spread, 1e-12)
    used = spread > 1e-4 * spread.max(initial=_SMALLEST)
    if not used.any():
        return None
    kept = np.ascontiguousarray(right[:, used]) if keep_right else None
    return Basis(np.ascontiguousarray(left[:, used]), spread[used], kept)


def _projected(table: sparse.csr_array) -> tuple[Floats, Floats, Floats]:
    """The largest components by random projection with two power steps (Halko et al. 2011)."""
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(table @ rng.normal(size=(table.shape[1], RANK + 10)))[0]
    for _ in range(2):
        frame = np.linalg.qr(table @ np.linalg.qr(table.T @ frame)[0])[0]
    small, spread, right = np.linalg.svd((table.T @ frame).T, full_matrices=False)
    return (frame @ small)[:, :RANK], spread[:RANK], right.T[:, :RANK]
