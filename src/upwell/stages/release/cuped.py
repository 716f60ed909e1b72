"""CUPED: what a user did before a trial takes noise off what is measured in it.

Deng, Xu, Kohavi and Walker, Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data (WSDM 2013): Y − θ(X − X̄) with θ = cov(X, Y) / var(X) has the same
mean and (1 − corr²) of the variance. Where X does not vary, θ is 0 and nothing changes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_ENOUGH = 10
"""Pairs before θ is trusted: a slope through fewer points would add noise."""


def theta(outcome: Floats, before: Floats) -> float:
    """Cov / var over the units whose ``before`` is known (not NaN); 0 where it does not vary.

    >>> theta(np.array([1.0, 3.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    2.0
    >>> theta(np.array([1.0, 3.0]), np.array([4.0, 4.0]))
    0.0
    """
    known = np.isfinite(before)
    if not known.any():
        return 0.0
    centred = before[known] - before[known].mean()
    spread = float(np.square(centred).sum())
    return float((centred * outcome[known]).sum()) / spread if spread > 1e-12 else 0.0


def adjusted(outcome: Floats, before: Floats) -> Floats:
    """(n,) outcomes with what ``before`` told of them taken off; unknown ones stay as they are."""
    known = np.isfinite(before)
    centre = before[known].mean() if known.any() else 0.0
    return outcome - theta(outcome, before) * np.where(known, before - centre, 0.0)


def expected(outcome: Floats, before: Floats | None, low: float, high: float) -> Floats:
    """(…, n) what each outcome was expected to be, from the units before it alone.

    The mean of the outcomes so far, plus θ times how far ``before`` of this unit lies from the
    mean of those so far: CUPED that is fit for looking at any time, as no unit has a part in its
    own expectation. Within ``low`` … ``high``; in the middle for the first unit.
    """
    middle = (low + high) / 2.0
    count = np.arange(outcome.shape[-1])
    mean = middle + _past(outcome - middle) / (count + 1.0)
    if before is None:
        return np.clip(mean, low, high)
    known = np.isfinite(before)
    origin = float(before[known].mean()) if known.any() else 0.0
    x, y = np.where(known, before - origin, 0.0), np.where(known, outcome - middle, 0.0)
    pairs = np.maximum(_past(known.astype(np.float64)), 1.0)
    mean_x, mean_y = _past(x) / pairs, _past(y) / pairs
    spread = _past(x * x) - pairs * mean_x**2
    together = _past(x * y) - pairs * mean_x * mean_y
    enough = (pairs >= _ENOUGH) & (spread > 1e-9)
    slope = np.where(enough, together / np.where(enough, spread, 1.0), 0.0)
    return np.clip(mean + np.where(known, slope * (x - mean_x), 0.0), low, high)


def _past(values: Floats) -> Floats:
    """(…, n) sums of the values before each one."""
    return np.cumsum(values, axis=-1) - values
