"""What another policy would have earned, estimated from what was logged with propensities.

A row was shown with probability π₀ and earned r; the policy on trial would have shown it with
probability π. With w = π/π₀, and a model q̂ of the reward that has not seen the row:

* ``ips``: mean w·r (Horvitz and Thompson 1952). Unbiased, and wide.
* ``snips``: Σ w·r / Σ w (Swaminathan and Joachims 2015). Within the range of the rewards.
* ``clipped``: mean min(w, c)·r (Ionides 2008), which is short by no more than the cut weight's
  reward; its interval says so.
* ``dr``: mean q̂(π) + w·(r − q̂) (Dudík, Langford and Li 2011). Unbiased whatever q̂ is.
* ``sndr``: mean q̂(π) + Σ w·(r − q̂) / Σ w (Thomas and Brunskill 2016).

The reward is any number: 0 or 1, a share, money. Nothing here is a loop over rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upwell.stages.evaluate.certainty import Estimate, estimate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_OWN = math.sqrt(6.0) - 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """A value, the influence (n,) of each row on it, and how much lower or higher it may lie.

    ``below`` and ``above`` are what a bias could add: 0 for estimators that have none.
    """

    value: float
    influence: Floats
    below: float = 0.0
    above: float = 0.0

    def __sub__(self, other: Found) -> Found:
        """The gain over another policy on the same rows; what both share cancels out."""
        return Found(
            self.value - other.value,
            self.influence - other.influence,
            self.below + other.above,
            self.above + other.below,
        )

    def widened(self, missing: float, reward: Floats) -> Found:
        """Allowing for a share ``missing`` of what π shows that had no chance to be logged.

        It may earn any number between the least and the largest reward, or nothing.
        """
        size = missing * (max(float(reward.max()), 0.0) - min(float(reward.min()), 0.0))
        return Found(self.value, self.influence, self.below + size, self.above + size)

    def told(self, confidence: float, user: Integers | None = None) -> Estimate:
        """The value with its error and interval over users (``user``: codes (n,) from 0)."""
        found = estimate(self.value, self.influence, confidence, user)
        return Estimate(found.value, found.error, found.low - self.below, found.high + self.above)


def ips(reward: Floats, weight: Floats) -> Found:
    """Inverse propensity scoring.

    >>> ips(np.array([1.0, 0.0, 1.0, 0.0]), np.array([2.0, 0.5, 1.0, 0.5])).value
    0.75
    """
    earned = weight * reward
    value = float(earned.mean())
    return Found(value, earned - value)


def snips(reward: Floats, weight: Floats) -> Found:
    """Self-normalised: nothing changes when all weights are multiplied. NaN where they sum to 0.

    The influence is the jackknife's, so a row that holds much of the weight counts as that unsure.

    >>> snips(np.array([1.0, 0.0, 1.0, 0.0]), np.array([2.0, 0.5, 1.0, 0.5])).value
    0.75
    """
    return _normalised(reward, weight)


def clipped(reward: Floats, weight: Floats, most: float) -> Found:
    """``ips`` with no weight above ``most``; the interval allows for what that leaves out.

    The cut weight is at least what the cut rows show, and at least what the kept ones lack of the
    mean of 1 that all weights must have; its reward lies between the least and the largest seen.

    >>> found = clipped(np.array([1.0, 0.0, 1.0, 0.0]), np.array([2.0, 0.5, 1.0, 0.5]), most=1.0)
    >>> found.value, found.above
    (0.5, 0.25)
    """
    kept = np.minimum(weight, most)
    found = ips(reward, kept)
    cut = float((weight - kept).mean())
    if not cut:
        return found
    cut = max(cut, 1.0 - float(kept.mean()))
    below, above = max(0.0, -float(reward.min()) * cut), max(0.0, float(reward.max()) * cut)
    return Found(found.value, found.influence, below, above)


def dr(reward: Floats, weight: Floats, shown: Floats, expected: Floats) -> Found:
    """Doubly robust: ``shown`` (n,) is q̂ of what was shown, ``expected`` (n,) is q̂ under π.

    >>> zero = np.zeros(4)
    >>> dr(np.array([1.0, 0.0, 1.0, 0.0]), np.array([2.0, 0.5, 1.0, 0.5]), zero, zero).value
    0.75
    """
    earned = weight * (reward - shown)
    earned += expected
    value = float(earned.mean())
    return Found(value, earned - value)


def sndr(reward: Floats, weight: Floats, shown: Floats, expected: Floats) -> Found:
    """``dr`` whose correction is self-normalised. NaN where the weights sum to 0."""
    correction = _normalised(reward - shown, weight)
    value = float(expected.mean())
    return Found(value + correction.value, expected - value + correction.influence)


def slope(reward: Floats, weight: Floats, confidence: float, choices: int = 12) -> float:
    """The clip that SLOPE chooses (Su, Srinath and Krishnamurthy 2020, arXiv:2002.07729).

    From no clipping downwards, each step less wide and more biased: the last one that differs from
    none before it by more than both half-widths allow, its own taken √6 − 1 times (Tucker and Lee
    2021, Improved estimator selection for off-policy evaluation). Infinite where nothing is to be
    clipped.
    """
    largest = float(weight.max())
    if not largest > 1.0:
        return math.inf
    low, high, chosen = -math.inf, math.inf, math.inf
    for most in np.geomspace(largest, 1.0, choices):
        found = ips(reward, np.minimum(weight, most)).told(confidence)
        half = (found.high - found.low) / 2.0
        if not low - _OWN * half <= found.value <= high + _OWN * half:
            break
        low, high = max(low, found.value - half), min(high, found.value + half)
        chosen = float(most)
    return chosen if chosen < largest else math.inf


def _normalised(reward: Floats, weight: Floats) -> Found:
    """Σ w·r / Σ w with the influences of leaving each row out."""
    total = float(weight.sum())
    if not total > 0.0:
        return Found(math.nan, np.full(len(weight), math.nan))
    value = float(weight @ reward) / total
    influence = reward - value
    influence *= weight
    influence *= len(weight)
    # Leaving a row out changes the sum of weights too: w(r − v)/(Σw − w), which is 0 where w is Σw.
    influence /= np.maximum(total - weight, 1e-12 * total)
    return Found(value, influence)
