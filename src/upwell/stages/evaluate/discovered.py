"""Groups of users who behave alike, found in their point-in-time features.

A loss may hit users whom no column of a profile tells apart. k-means (Lloyd 1982) over standardised
features, begun by k-means++ (Arthur & Vassilvitskii 2007), is deterministic: the same users get
the same groups in every turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_STEPS, _STARTS, _SAMPLE = 30, 4, 20_000
_TELLING = 0.5


def features_of(rows: pa.Table) -> Floats:
    """(u, f) standardised features of each user's first row, in order of first appearance.

    The first row knows only what came before the test. (u, 0) where rows have no features, or not
    equally many; a feature that is the same for all, or not finite, is left out.
    """
    codes = np.asarray(pc.dictionary_encode(rows["user"]).combine_chunks().indices)
    _, first = np.unique(codes, return_index=True)
    lists = rows["features"].combine_chunks() if "features" in rows.column_names else None
    sizes = set(pc.unique(pc.list_value_length(lists)).to_pylist()) if lists is not None else {0}
    width = sizes.pop() if len(sizes) == 1 else 0
    if lists is None or not width:
        return np.zeros((len(first), 0))
    found = np.asarray(lists.flatten(), dtype=np.float64).reshape(len(codes), width)[first]
    finite = np.isfinite(found).all(axis=0)
    found = np.where(finite, found, 0.0)
    spread = found.std(axis=0)
    telling = spread > 1e-9 * (1.0 + np.abs(found).max(axis=0))
    return np.where(telling, (found - found.mean(axis=0)) / np.where(telling, spread, 1.0), 0.0)


def clusters(features: Floats, count: int) -> Integers:
    """(u,) the group of each user, numbered from 0 by size; all 0 where nothing tells them."""
    if count < 2 or not features.any():
        return np.zeros(len(features), dtype=np.int64)
    rng = np.random.default_rng(0)
    sample = features
    if len(features) > _SAMPLE:
        sample = features[np.sort(rng.choice(len(features), _SAMPLE, replace=False))]
    centres = min(
        (_settled(sample, count, rng) for _ in range(_STARTS)), key=lambda found: found[1]
    )
    nearest = _nearest(features, centres[0])[0]
    sizes = np.bincount(nearest, minlength=count)
    return np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")[nearest]


def traits(features: Floats, chosen: npt.NDArray[np.bool_], names: Sequence[str]) -> list[str]:
    """What tells a group: its two features furthest from the mean, as ``+events``, ``-spent``."""
    if len(names) != features.shape[1]:
        return []
    apart = features[chosen].mean(axis=0)
    order = np.argsort(-np.abs(apart), kind="stable")[:2]
    return [
        f"{'+' if apart[at] > 0 else '-'}{names[at]}" for at in order if abs(apart[at]) > _TELLING
    ]


def _settled(sample: Floats, count: int, rng: np.random.Generator) -> tuple[Floats, float]:
    """Centres (k, f) that Lloyd's steps end at, and the sum of squared distances to them."""
    centres = sample[rng.integers(len(sample), size=1)]
    while len(centres) < count:
        apart = _nearest(sample, centres)[1]
        total = float(apart.sum())
        chance = apart / total if total > 0.0 else None
        centres = np.concatenate([centres, sample[rng.choice(len(sample), 1, p=chance)]])
    for _ in range(_STEPS):
        nearest, _ = _nearest(sample, centres)
        sizes = np.bincount(nearest, minlength=count)
        sums = [np.bincount(nearest, weights=column, minlength=count) for column in sample.T]
        moved = np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]
        moved = np.where(sizes[:, None] > 0, moved, centres)
        if np.allclose(moved, centres):
            break
        centres = moved
    return centres, float(_nearest(sample, centres)[1].sum())


def _nearest(points: Floats, centres: Floats) -> tuple[Integers, Floats]:
    """The nearest centre of each point and the squared distance to it."""
    apart = (centres**2).sum(axis=1) - 2.0 * points @ centres.T
    nearest = apart.argmin(axis=1)
    distance = apart[np.arange(len(points)), nearest] + (points**2).sum(axis=1)
    return nearest, np.maximum(distance, 0.0)
