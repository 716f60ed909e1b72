"""How sure an estimate is: its interval from the influence of each row.

An estimate of a mean, or of a ratio of means, differs from the truth by the mean of its rows'
influences (Hampel 1974). Rows of one user are added up first, since they depend on each other.
Weighted rewards are skewed, with few rows that count much, and the plain ±1.96 errors then cover
too rarely; so the studentised mean is freed of its skewness (Hall 1992, "On the removal of skewness
by transformation") and measured by t with as many degrees of freedom as its variance is known to
(Satterthwaite 1946, from the sample's kurtosis).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_MOST_SKEW = 1.5
"""Skewness beyond this (over √users) is the sample's, not the population's: t covers the rest."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and its interval, all in the unit of the reward."""

    value: float
    error: float
    low: float
    high: float


def estimate(
    value: float, influence: Floats, confidence: float, user: Integers | None = None
) -> Estimate:
    """The estimate with its interval; ``influence`` (n,) has mean 0, ``user`` (n,) codes from 0.

    A constant influence gives an interval of no width.

    >>> estimate(0.5, np.array([0.5, -0.5] * 50), confidence=0.95).error.__round__(4)
    0.0503
    """
    sums = influence if user is None else by_user(influence, user)
    units, rows = len(sums), len(influence)
    if units < 2:
        return Estimate(value, math.inf, -math.inf, math.inf)
    apart = sums - sums.mean()
    second = float(apart @ apart)
    if second <= 0.0:
        return Estimate(value, 0.0, value, value)
    squared = apart * apart
    error = math.sqrt(second * units / (units - 1)) / rows
    skew = float(squared @ apart) * math.sqrt(units) / second**1.5
    kurtosis = float(squared @ squared) * units / second**2
    freedom = min(max(2.0 * units / max(kurtosis - 1.0, 1e-9), 1.0), units - 1.0)
    reach = student(0.5 + confidence / 2, freedom)
    slant = skew / math.sqrt(units)
    low, high = value - error * _leaning(reach, slant), value - error * _leaning(-reach, slant)
    return Estimate(value, error, low, high)


def by_user(values: Floats, user: Integers) -> Floats:
    """(u,) sums of ``values`` (n,) by user, whose codes count from 0 without gaps."""
    return np.bincount(user, weights=values).astype(np.float64)


def student(share: float, freedom: float) -> float:
    """The quantile of Student's t; freedom need not be whole.

    >>> round(student(0.975, 10.0), 3), round(student(0.975, 1e9), 3)
    (2.228, 1.96)
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, share))


def _leaning(reach: float, slant: float) -> float:
    """The studentised mean whose transform is ``reach``: Hall's cubic, solved.

    g(T) = T + s(T²/3 + 1/6) + s²T³/27 for the skewness s over √n.
    """
    slant = min(max(slant, -_MOST_SKEW), _MOST_SKEW)
    if abs(slant) < 1e-6:
        return reach
    return float(3.0 / slant * (np.cbrt(1.0 + slant * (reach - slant / 6.0)) - 1.0))
