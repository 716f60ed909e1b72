"""How surprising a gain would be if there were none: exact and accurate to the far tail.

A gate that looks for ever spends levels far below 1 %, where no affordable number of resamples
says anything. So tails are computed and not drawn, each one-sided, over users' own differences:

* ``mcnemar`` where each user answered one case, right or wrong: exactly binomial in the users who
  differ (McNemar 1947). The mid-p would find a little more, but may err more often than it says;
* ``sign_flip`` for everything else: the permutation test that gives each user's difference a random
  sign, exact for ``FEW`` users who differ, else by the saddlepoint approximation of its tail
  (Robinson 1982, in the form of Barndorff-Nielsen 1986), binomial where all differences are of one
  size. It takes sums for continuous, so that those which tie with the one seen count about half;
* ``skew_corrected``: Student's t with Hall's cubic correction (1992), for a permutation test holds
  only where differences are as likely up as down. The larger of both decides.

A p-value here is that of *no gain*; that of no harm is the same of the negated differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FEW = 30
_NORMAL = NormalDist()
_ROUNDING = 1e-9
_FURTHEST = 1e6


def no_gain(differences: Floats, right_or_wrong: bool) -> float:
    """The p-value of the deciding test; NaN where a difference is not finite.

    >>> round(no_gain(np.array([1.0] * 20 + [-1.0] * 8 + [0.0] * 900), True), 4)
    0.0178
    """
    if not np.isfinite(differences).all():
        return math.nan
    if right_or_wrong:
        return mcnemar(int((differences > 0).sum()), int((differences < 0).sum()))
    return max(sign_flip(differences), skew_corrected(differences))


def lower_bound(differences: Floats, alpha: float, right_or_wrong: bool) -> float | None:
    """The gain that is exceeded at level ``alpha`` < 0.5: above 0 just where ``no_gain`` ≤ alpha.

    None where no bound exists: differences that are not finite, or users too few to show any
    gain at that level.
    """
    if not len(differences) or not np.isfinite(differences).all():
        return None
    if right_or_wrong:
        return _bound_of_shares(differences, alpha)
    mean = float(differences.mean())
    apart = float(differences.std()) or abs(mean)
    if not apart:
        return mean

    def surprise(gain: float) -> float:
        """How far p is below alpha, as a normal quantile: falls as the gain rises."""
        return _quantile(no_gain(differences - gain, False)) - _quantile(alpha)

    if surprise(0.0) >= 0.0:
        return _crossing(surprise, 0.0, max(mean, 0.0))
    begin, reach = min(mean, 0.0), apart / math.sqrt(len(differences))
    while surprise(begin - reach) < 0.0:
        reach *= 2.0
        if reach > _FURTHEST * apart:
            return None
    return _crossing(surprise, begin - reach, 0.0)


def mcnemar(better: int, worse: int) -> float:
    """P(as many of those who differ get better, or more) if both ways were as likely.

    >>> round(mcnemar(5, 0), 12), mcnemar(0, 0), round(mcnemar(40, 20), 5)
    (0.03125, 1.0, 0.00674)
    """
    return _binomial_tail(better, better + worse, 0.5)


def sign_flip(differences: Floats) -> float:
    """P(mean of randomly signed differences ≥ their mean); 1 where none differ.

    >>> sign_flip(np.array([0.1, 0.2, 0.4])), sign_flip(np.array([-1.0, 1.0]))
    (0.125, 0.75)
    """
    differing = differences[differences != 0.0]
    if not len(differing):
        return 1.0
    sizes, total = np.abs(differing), float(differing.sum())
    if len(differing) <= FEW:
        return _exact_flips(sizes, total)
    if float(np.ptp(sizes)) <= _ROUNDING * float(sizes.max()):
        return mcnemar(int((differing > 0.0).sum()), int((differing < 0.0).sum()))
    return _flips(sizes / sizes.max(), total / float(sizes.max()))


def skew_corrected(differences: Floats) -> float:
    """P(a mean as large, or larger) by Student's t and Hall's correction for skewness.

    >>> round(skew_corrected(np.array([0.3, -0.1, 0.2, 0.1, 0.15, -0.05] * 20)), 12)
    4e-12
    """
    n, mean = len(differences), float(differences.mean())
    apart = differences - mean
    variance = float((apart**2).mean())
    if n < 2 or variance <= (_ROUNDING * mean) ** 2:
        return 0.0 if mean > 0.0 and n > 1 else 1.0
    skew = float((apart**3).mean()) / variance**1.5 / math.sqrt(n)
    t = _normal_score(mean / math.sqrt(variance / (n - 1)), n - 1)
    return _upper(t + skew * t**2 / 3.0 + skew**2 * t**3 / 27.0 + skew / 6.0)


def holm(found: Sequence[float]) -> list[float]:
    """p-values corrected so that any false one among them is as rare as it says (Holm 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    corrected, worst = [1.0] * len(found), 0.0
    for rank, place in enumerate(sorted(range(len(found)), key=lambda at: found[at])):
        worst = max(worst, min(1.0, (len(found) - rank) * found[place]))
        corrected[place] = worst
    return corrected


def _upper(z: float) -> float:
    """P(a standard normal > z), accurate to the far tail."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _quantile(p: float) -> float:
    """The z with ``_upper(z)`` = p."""
    return -_NORMAL.inv_cdf(min(max(p, 1e-300), 1.0 - 1e-16))


def _normal_score(t: float, freedom: int) -> float:
    """The normal quantile of a Student's t (Wallace 1959): within 0.02 from 3 degrees on."""
    scale = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0)
    return math.copysign(scale * math.sqrt(freedom * math.log1p(t * t / freedom)), t)


def _exact_flips(sizes: Floats, total: float) -> float:
    """Share of all sign patterns that reach the total, counted half against half."""
    half = len(sizes) // 2
    one, other = _sums(sizes[:half]), np.sort(_sums(sizes[half:]))
    wanted = total - one - _ROUNDING * float(sizes.sum())
    reached = len(other) - np.searchsorted(other, wanted)
    return float(reached.sum()) / (len(one) * len(other))


def _sums(sizes: Floats) -> Floats:
    """(2ᵏ,) sums under all sign patterns."""
    found = np.zeros(1)
    for size in sizes:
        found = np.concatenate([found - size, found + size])
    return found


def _flips(sizes: Floats, total: float) -> float:
    """The tail of a sum of randomly signed sizes (the largest is 1) by the saddlepoint."""
    most, variance = float(sizes.sum()), float((sizes**2).sum())
    if abs(total) >= most * (1.0 - _ROUNDING):
        return 0.5 ** len(sizes) if total > 0 else 1.0
    tilt = _tilt(sizes, abs(total), variance)
    # log cosh x = |x| + log(1 + exp(−2|x|)) − log 2, which never overflows.
    x = tilt * sizes
    cumulant = float((x + np.log1p(np.exp(-2.0 * x)) - math.log(2.0)).sum())
    w = math.sqrt(max(2.0 * (tilt * abs(total) - cumulant), 0.0))
    if w < 1e-3:
        return _upper(total / math.sqrt(variance))
    v = tilt * math.sqrt(float((sizes**2 * (1.0 - np.tanh(x) ** 2)).sum()))
    return _upper(math.copysign(w + math.log(v / w) / w, total))


def _tilt(sizes: Floats, total: float, variance: float) -> float:
    """The s ≥ 0 with Σ a·tanh(s·a) = total, by Newton's steps held within a bracket."""
    low, high, tilt = 0.0, math.inf, total / variance
    for _ in range(60):
        slope = np.tanh(tilt * sizes)
        short = total - float((sizes * slope).sum())
        low, high = (tilt, high) if short > 0.0 else (low, tilt)
        if abs(short) <= _ROUNDING * variance**0.5:
            break
        step = tilt + short / max(float((sizes**2 * (1.0 - slope**2)).sum()), 1e-300)
        inside = low < step < high
        tilt = step if inside else (2.0 * tilt if math.isinf(high) else (low + high) / 2.0)
    return tilt


def _binomial_tail(better: int, differing: int, chance: float) -> float:
    """P(at least ``better`` of ``differing``)."""
    if not differing:
        return 1.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, differing + 1)))])
    k = np.arange(better, differing + 1)
    ways = logs[differing] - logs[k] - logs[differing - k]
    chances = np.exp(ways + k * math.log(chance) + (differing - k) * math.log1p(-chance))
    return min(float(chances.sum()), 1.0)


def _bound_of_shares(differences: Floats, alpha: float) -> float | None:
    """The bound on the gain that belongs to McNemar's test, given how many users differ."""
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    differing = better + worse
    if not differing:
        return 0.0

    def surprise(chance: float) -> float:
        return _quantile(_binomial_tail(better, differing, chance)) - _quantile(alpha)

    low, high = 1e-12, 1.0 - 1e-12
    if not better:
        return -differing / len(differences)
    # At the test's own point the bound must lie on the side that the test says.
    if surprise(0.5) >= 0.0:
        low = 0.5
    else:
        high = 0.5
    share = _crossing(surprise, low, high)
    return (2.0 * share - 1.0) * differing / len(differences)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float:
    """The last point of [low, high] where a falling function is ≥ 0, by halving with secants."""
    at_low, at_high = falling(low), falling(high)
    if at_high >= 0.0:
        return high
    for turn in range(40):
        straight = low + (high - low) * at_low / (at_low - at_high)
        middle = straight if turn % 3 else (low + high) / 2.0
        if high - low <= 1e-6 * max(abs(low), abs(high), 1e-9):
            break
        at = falling(middle)
        if at >= 0.0:
            low, at_low = middle, at
        else:
            high, at_high = middle, at
    return low
