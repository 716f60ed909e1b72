"""Numbers that many raters gave, to one number an item: stars, scores, degrees.

Rater u says offset_u + gain_u · z_i plus noise of their own size, where z_i is the item's value: a
factor model with shrinkage, by EM. Freer models are taken only where they foretell unseen answers
better, by absolute error: a density would reward whoever explains the spikes of round numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upwell.errors import StageError
from upwell.stages.clean.answers import Bools, Floats, Ints, coded

_FOLDS, _STEPS, _TRIAL_STEPS = 5, 200, 60
_WEIGHT = 4.0
"""A rater's noise counts the pooled one as this many answers."""
_LEAST = 1e-9
MODELS: Mapping[str, tuple[bool, bool]] = {
    "mean": (False, False),
    "gain": (False, True),
    "offset and gain": (True, True),
}
"""Whether raters have offsets, and gains and noise, of their own; simplest first."""


@dataclass(frozen=True, slots=True)
class Values:
    """What numbers tell about items and raters.

    ``mean``, ``error`` (items,): value and its standard error; ``offset``, ``gain``, ``noise``
    (raters,): noise is a standard deviation. ``model``: the name of the one that was taken;
    ``held_out``: mean absolute error on unseen answers, by model.
    """

    mean: Floats
    error: Floats
    offset: Floats
    gain: Floats
    noise: Floats
    model: str
    held_out: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Given:
    item: Ints
    rater: Ints
    value: Floats
    items: int
    raters: int

    def kept(self, keep: Bools) -> _Given:
        return _Given(self.item[keep], self.rater[keep], self.value[keep], self.items, self.raters)


def numbers(
    item: npt.ArrayLike, rater: npt.ArrayLike, value: npt.ArrayLike, *, seed: int = 0
) -> Values:
    """Fit what n numbers, by raters about items (coded from 0), say of both.

    An item without a number gets the mean of all. ``seed`` picks the answers left out. Raises
    StageError ``raters.values`` for what is no finite number, ``raters.lengths``, ``raters.codes``.

    >>> numbers([0, 0, 1, 1], [0, 1, 0, 1], [1.0, 3.0, 5.0, 7.0]).mean.tolist()
    [2.0, 6.0]
    """
    told = np.asarray(value, np.float64)
    if told.ndim != 1 or not np.isfinite(told).all():
        raise StageError("raters.values")
    codes = coded(item, rater, np.zeros(len(told), np.int64))
    given = _Given(codes.item, codes.rater, told, codes.items, codes.raters)
    found = dict.fromkeys(MODELS, 0.0)
    for keep in _folds(len(told), seed):
        for name in MODELS:
            guess = _fit(given.kept(keep), name, _TRIAL_STEPS)
            left = given.kept(~keep)
            said = guess.offset[left.rater] + guess.gain[left.rater] * guess.mean[left.item]
            found[name] += float(np.abs(left.value - said).sum()) / len(told)
    best = _fit(given, min(found, key=lambda name: round(found[name], 9)), _STEPS)
    return Values(best.mean, best.error, best.offset, best.gain, best.noise, best.model, found)


def _folds(size: int, seed: int) -> Iterator[Bools]:
    shuffled = np.random.default_rng(seed).permutation(size)
    for fold in range(min(_FOLDS, size)):
        yield shuffled % _FOLDS != fold


def _fit(given: _Given, name: str, steps: int) -> Values:
    """One model; the start is each item's mean."""
    count = np.bincount(given.item, minlength=given.items)
    centre = float(given.value.mean()) if len(given.value) else 0.0
    total = np.bincount(given.item, given.value, given.items)
    mean = np.where(count > 0, total / np.maximum(count, 1), centre)
    spread = float(((given.value - mean[given.item]) ** 2).mean()) if len(given.value) else 0.0
    noise = np.full(given.raters, max(spread, _LEAST))
    error: Floats = noise.sum() / max(len(noise), 1) / np.maximum(count, 1)
    start = Values(
        mean,
        np.sqrt(error),
        np.zeros(given.raters),
        np.ones(given.raters),
        np.sqrt(noise),
        name,
        {},
    )
    own_offset, own_gain = MODELS[name]
    return _factors(given, start, own_offset, steps) if own_gain else start


def _factors(given: _Given, start: Values, own_offset: bool, steps: int) -> Values:
    """EM over values, offsets, gains and noise, each with its uncertainty."""
    item, rater, value, users = given.item, given.rater, given.value, given.raters
    z, noise, gain, offset = start.mean, start.noise**2, start.gain, start.offset
    answers = np.bincount(rater, minlength=users)
    centre, width = z.mean(), max(float(z.var()), _LEAST)
    doubt: Floats = np.zeros(users)
    shift: Floats = np.zeros(users)
    gain_width, offset_width = 0.1, max(0.1 * float(noise.mean()), _LEAST)
    for _ in range(steps):
        weight, square = 1 / noise[rater], (gain**2 + doubt)[rater]
        error = 1 / (1 / width + np.bincount(item, weight * square, given.items))
        pull = np.bincount(item, weight * gain[rater] * (value - offset[rater]), given.items)
        z = (centre / width + pull) * error
        centre, width = z.mean(), max(float(((z - z.mean()) ** 2 + error).mean()), _LEAST)
        if own_offset:
            shift = 1 / (1 / offset_width + answers / noise)
            offset = np.bincount(rater, value - gain[rater] * z[item], users) / noise * shift
            offset_width = max(float((offset**2 + shift).mean()), _LEAST)
        doubt = 1 / (1 / gain_width + np.bincount(rater, (z**2 + error)[item], users) / noise)
        said = np.asarray(np.bincount(rater, (value - offset[rater]) * z[item], users), np.float64)
        gain = (said / noise + 1 / gain_width) * doubt
        gain_width = max(float(((gain - 1) ** 2 + doubt).mean()), _LEAST)
        left = (value - offset[rater] - gain[rater] * z[item]) ** 2
        left += shift[rater] + square * error[item] + doubt[rater] * z[item] ** 2
        sums = np.bincount(rater, left, users)
        pooled = sums.sum() / max(answers.sum(), 1)
        noise = np.maximum((sums + _WEIGHT * pooled) / (answers + _WEIGHT), _LEAST)
    return Values(z, np.sqrt(error), offset, gain, np.sqrt(noise), start.model, {})
