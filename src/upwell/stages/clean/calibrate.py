"""How sure should the model have been? Its beliefs, corrected by what users said of them.

A model that learned from few labels, or from classes in other shares than users bring, is wrong
about some answers more often than it says. Held against such beliefs, honest users look careless.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_RIDGE = 5.0
"""Signs that an answer's offset, or the slope, must outweigh."""
_ROUNDS = 100
_EDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Calibrated:
    """``belief`` (n,) after correction, with the ``slope`` and the ``offset`` (g,) that it took.

    ``flip_rate`` is the share of wrong signs under which these are most probable.
    """

    belief: Floats
    slope: float
    offset: Floats
    flip_rate: float


def calibrated(belief: npt.ArrayLike, sign: npt.ArrayLike, answer: npt.ArrayLike) -> Calibrated:
    """σ(slope · logit b + offset of the answer), fitted to n signs together with one flip rate.

    ``belief`` (n,) in [0, 1] that what was shown is right, ``sign`` (n,) ±1, ``answer`` (n,) codes
    of what was shown. Platt scaling (1999) with an offset an answer, where the label is hidden
    behind a coin that flips (EM, as Raykar et al. 2010). Little data leave the beliefs alone.

    >>> found = calibrated([0.9] * 80 + [0.6] * 80, [-1] * 80 + [1] * 80, [0] * 80 + [1] * 80)
    >>> found.belief[[0, 80]].round(1).tolist(), round(found.flip_rate, 1)
    ([0.1, 0.9], 0.0)
    """
    b = np.clip(np.asarray(belief, np.float64), _EDGE, 1 - _EDGE)
    odds = np.log(b / (1 - b))
    liked, group = np.asarray(sign) > 0, np.asarray(answer, np.int64)
    slope, rate = 1.0, 0.1
    offset = np.zeros(int(group.max()) + 1 if len(group) else 0)
    for _ in range(_ROUNDS):
        right = _sigmoid(slope * odds + offset[group])
        flipped = _flipped(right, liked, rate)
        seen = np.where(liked, 1 - flipped, flipped) - right
        spread = right * (1 - right)
        rate = float(np.clip((flipped.sum() + 1) / (len(b) + 10), 0.005, 0.49))
        offset = offset + _step(
            np.bincount(group, seen, len(offset)) - _RIDGE * offset,
            np.bincount(group, spread, len(offset)) + _RIDGE,
        )
        pull = float(seen @ odds) - 2 * _RIDGE * (slope - 1)
        slope += 0.3 * float(_step(pull, float(spread @ odds**2) + 2 * _RIDGE))
        slope = min(max(slope, 0.1), 2.0)
    return Calibrated(_sigmoid(slope * odds + offset[group]), slope, offset, rate)


def _flipped(right: Floats, liked: Bools, rate: float) -> Floats:
    """(n,) chance that each sign is wrong, given how probable it is that the answer is right."""
    agrees = np.where(liked, right, 1 - right)
    found: Floats = rate * (1 - agrees) / (rate * (1 - agrees) + (1 - rate) * agrees)
    return found


def _step(slope: npt.ArrayLike, curvature: npt.ArrayLike) -> Floats:
    """One step of Newton's, never longer than 1."""
    return np.clip(np.divide(slope, curvature), -1.0, 1.0)


def _sigmoid(odds: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-odds))
    return found
