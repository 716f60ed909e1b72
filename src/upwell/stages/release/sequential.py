"""Tests that may be looked at after every user: evidence and intervals that hold at all times.

* ``log_e_process``: the capital of a gambler who bets that a bounded mean lies beyond ``null``
  (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, JRSS B 2024).
  If it does not, the capital is expected never to grow; that it ever reaches 1/α has probability
  α at most (Ville 1939). It holds for every sample size, not only for large ones. With the bets
  of one who expects a gain of the planned size it is about the sequential probability ratio test
  (Wald 1945), which needs the fewest observations to tell that gain from none.
* ``interval``: the means that no such gambler has refuted, a confidence sequence: the intervals of
  all times hold together with probability 1 − α, so stopping at any moment, for any reason, is no
  cheating.
* ``effects``: two versions with unequal and changing shares as one sequence whose mean is the
  difference, so that both tests above apply (inverse propensities, with what was expected of a
  unit taken off first; only what came before a unit may be used to expect).

Time is the last axis everywhere; axes before it are repetitions.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_HALF = 0.5
"""Share of the capital that the largest bet may lose: the whole would end the game."""
_HALVINGS = 40


def running(values: Floats) -> tuple[Floats, Floats]:
    """(…, n) mean and variance (divided by n) of the values up to and with each one.

    >>> running(np.array([1.0, 3.0]))[0].tolist(), running(np.array([1.0, 3.0]))[1].tolist()
    ([1.0, 2.0], [0.0, 1.0])
    """
    count = np.arange(1, values.shape[-1] + 1)
    origin = values[..., :1]
    mean = np.cumsum(values - origin, axis=-1) / count
    square = np.cumsum((values - origin) ** 2, axis=-1) / count
    return mean + origin, np.maximum(square - mean**2, 0.0)


def log_e_process(
    values: Floats,
    null: float | Floats,
    lowest: float | Floats,
    highest: float | Floats,
    *,
    effect: float = 0.0,
) -> Floats:
    """(…, n) ln of the evidence that the mean is above ``null``: ln Π (1 + λ_i (x_i − null)).

    ``lowest`` and ``highest`` bound each value, known before it is seen. The bets λ_i stand on
    values before i only. With ``effect`` they are those that grow fastest (Kelly) if the mean is
    ``null + effect``, λ = effect / (σ̂² + effect²); else they follow the running mean (aGRAPA).
    To bet that a mean is below ``null``, negate values, null and bounds.
    """
    mean, variance = _before(values, lowest, highest)
    gain = np.full_like(mean, effect) if effect else mean - null
    bets = gain / (variance + gain**2 + 1e-12)
    room = null - np.asarray(lowest, dtype=np.float64)
    most = np.where(room > 0.0, _HALF / np.maximum(room, 1e-12), np.inf)
    bets = np.clip(bets, 0.0, np.minimum(most, 1e6))
    return np.cumsum(np.log1p(bets * (values - null)), axis=-1)


def interval(
    values: Floats, alpha: float, lowest: float | Floats, highest: float | Floats, effect: float
) -> tuple[float, float]:
    """The means of ``values`` (n,) that betting by ``effect`` has not refuted by now.

    Below its lower end lie the means that bets on more have refuted, above its upper end those
    that bets on less have, each with capital 2/α. Infinite while an end is not found.
    """
    low = _refuted(values, alpha / 2.0, lowest, highest, effect)
    negated = (-np.asarray(highest, np.float64), -np.asarray(lowest, np.float64))
    return low, -_refuted(-values, alpha / 2.0, *negated, effect)


def effects(
    rewards: Floats, challenger: npt.NDArray[np.bool_], chance: Floats, expected: Floats
) -> Floats:
    """(…, n) z_i = (A_i/π_i − (1 − A_i)/(1 − π_i)) · (y_i − m_i): their mean is the difference.

    ``challenger`` is A (who got it), ``chance`` π its probability, ``expected`` m what was
    expected of the unit whatever it got. Unbiased for every m that does not look at the unit
    itself; the nearer m, the narrower the interval.
    """
    weight = np.where(challenger, 1.0 / chance, -1.0 / (1.0 - chance))
    return weight * (rewards - expected)


def reach(chance: Floats, expected: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """The least and the greatest that ``effects`` can be, for rewards from ``low`` to ``high``."""
    worst = np.maximum((expected - low) / chance, (high - expected) / (1.0 - chance))
    best = np.maximum((high - expected) / chance, (expected - low) / (1.0 - chance))
    return -worst, best


def fixed_size(effect: float, deviation: float, alpha: float, power: float, share: float) -> int:
    """Units that a test with one look needs in all to see ``effect`` with ``power``.

    (z_{1−α/2} + z_power)² σ² / (π (1 − π) δ²): two-sided, ``share`` π of the units in one arm.

    >>> fixed_size(0.05, 0.5, 0.05, 0.8, 0.5)
    3140
    """
    normal = NormalDist()
    needed = normal.inv_cdf(1.0 - alpha / 2.0) + normal.inv_cdf(power)
    return math.ceil((needed * deviation / effect) ** 2 / (share * (1.0 - share)))


def first_true(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(…,) where ``found`` first holds; its length where it never does.

    >>> first_true(np.array([[False, True, False], [False, False, False]])).tolist()
    [1, 3]
    """
    never = found.shape[-1]
    place: npt.NDArray[np.int64] = np.where(found.any(axis=-1), found.argmax(axis=-1), never)
    return place


def _refuted(
    values: Floats, alpha: float, lowest: float | Floats, highest: float | Floats, effect: float
) -> float:
    """The greatest mean that capital 1/α speaks against, found by halving; −∞ if none does."""
    low, high = float(np.min(lowest)), float(values.mean())
    aim = -math.log(alpha)

    def capital(null: float) -> float:
        return float(log_e_process(values, null, lowest, highest, effect=effect)[-1])

    if high <= low or capital(low) < aim:
        return -math.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if capital(middle) >= aim else (low, middle)
    return low


def _before(
    values: Floats, lowest: float | Floats, highest: float | Floats
) -> tuple[Floats, Floats]:
    """Mean and variance of the values before each one, begun as if by one in the middle."""
    low, high = (np.asarray(end, dtype=np.float64) for end in (lowest, highest))
    middle = np.broadcast_to((low + high) / 2.0, values.shape)[..., :1]
    spread = np.broadcast_to((high - low) ** 2 / 4.0, values.shape)[..., :1]
    count = np.arange(1, values.shape[-1] + 1)
    past = np.concatenate([np.zeros_like(values[..., :1]), values[..., :-1] - middle], axis=-1)
    mean = np.cumsum(past, axis=-1) / count
    square = (np.cumsum(past**2, axis=-1) + spread) / count
    return mean + middle, np.maximum(square - mean**2, 0.0)
