"""Paired comparison over users: means, bootstrap intervals, and how many users are missing.

Users, not rows, are drawn: rows of one user depend on each other, and a user with many rows
must not outvote the rest. A difference is taken within each user first, so what makes users
hard or easy cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

Floats = npt.NDArray[np.float64]

POWER = 0.8
_CELLS = 4_000_000
_NORMAL = NormalDist()


def user_means(users: pa.ChunkedArray, values: Floats) -> Floats:
    """(u, c) mean of each column of ``values`` (n, c) per user, in order of first appearance.

    >>> user_means(pa.chunked_array([["a", "b", "a"]]), np.array([[1.0], [5.0], [3.0]]))
    array([[2.],
           [5.]])
    """
    codes = np.asarray(pc.dictionary_encode(users).combine_chunks().indices)
    counts = np.bincount(codes)
    sums = [np.bincount(codes, weights=column) for column in values.T]
    return np.stack(sums, axis=1) / counts[:, None]


def intervals(
    samples: Floats, resamples: int, confidence: float, rng: np.random.Generator
) -> Floats:
    """(c, 3) mean, low and high of each column of ``samples`` (u, c), one row a user.

    Bias-corrected and accelerated bootstrap of the mean (Efron 1987); all columns see the same
    resamples. A column that is not finite gives three NaN, a constant one its value.
    """
    drawn = np.concatenate(list(resampled_means(samples, resamples, rng)))
    return np.array([_bca(x, b, confidence) for x, b in zip(samples.T, drawn.T, strict=True)])


def resampled_means(samples: Floats, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Means (b, c) of samples drawn with replacement, in blocks of bounded memory.

    Each resample holds exactly u of the u users; it is kept as how often each was drawn.
    """
    users = len(samples)
    block = max(1, _CELLS // users)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(users, size=(size, users))
        drawn += users * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * users).reshape(size, users)
        with np.errstate(invalid="ignore"):
            yield counts.astype(np.float64) @ samples / users


def users_needed(deviation: float, gain: float, alpha: float, power: float = POWER) -> int:
    """Users at which a true ``gain`` shows with ``power``, at per-user differences' ``deviation``.

    Normal approximation, one-sided at level ``alpha``: ((z₁₋α + z_power) · deviation / gain)². For
    right or wrong answers, deviation² is the share of users who differ, less gain².

    >>> users_needed(0.2, 0.02, alpha=0.025), users_needed(0.06**0.5, 0.02, alpha=0.05)
    (785, 928)
    """
    reach = _NORMAL.inv_cdf(1.0 - alpha) + _NORMAL.inv_cdf(power)
    return math.ceil((reach * deviation / gain) ** 2)


def needed_cases(differences: Floats, gain: float, alpha: float) -> int:
    """How many more users are needed to see a true ``gain``, given the users so far.

    >>> needed_cases(np.array([0.2, -0.2] * 50), 0.02, alpha=0.025)
    693
    """
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if not gain or not math.isfinite(deviation):
        return 0
    return max(0, users_needed(deviation, gain, alpha) - len(differences))


def _bca(sample: Floats, drawn: Floats, confidence: float) -> tuple[float, float, float]:
    """Mean and interval of one column from its resampled means."""
    mean = float(sample.mean()) if np.isfinite(sample).all() else math.nan
    apart = sample - mean
    spread = float((apart**2).sum())
    if math.isnan(mean) or spread == 0.0:
        return mean, mean, mean
    below = float((drawn < mean).mean() + (drawn == mean).mean() / 2)
    edge = 0.5 / len(drawn)
    bias = _NORMAL.inv_cdf(min(max(below, edge), 1.0 - edge))
    acceleration = float((apart**3).sum()) / (6.0 * spread**1.5)
    reach = _NORMAL.inv_cdf(0.5 + confidence / 2)
    shares = [_shifted(bias, acceleration, side * reach) for side in (-1.0, 1.0)]
    low, high = np.quantile(drawn, shares)
    return mean, float(low), float(high)


def _shifted(bias: float, acceleration: float, z: float) -> float:
    """The share of resamples that BCa reads in place of Φ(z)."""
    return _NORMAL.cdf(bias + (bias + z) / max(1.0 - acceleration * (bias + z), 0.05))
