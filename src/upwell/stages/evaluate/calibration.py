"""Is a probability what it says? Calibration error beyond chance, and whether it rose.

The expected calibration error of a finite test is above 0 even for a perfect model. How far, is
found by drawing outcomes from the model's own probabilities (consistency resampling, Bröcker and
Smith 2007); what is beyond it is the root of the difference of squares, as noise adds in squares.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.stages.evaluate import paired, ranking
from upwell.stages.evaluate.guards import Finding, unmeasured
from upwell.stages.evaluate.marks import Judged

Floats = npt.NDArray[np.float64]
Pair = tuple[Floats, Floats]

BINS = 15
DRAWS = 200


def said_and_right(judged: Judged) -> Pair:
    """(n,) probability of each row's first answer, and 1 where that answer was right, else 0."""
    rank = ranking.ranks(judged.answers["output"], judged.rows["target"])
    return ranking.first_scores(judged.answers["score"]), ranking.hit_rate(rank, 1)


def level(pair: Pair, confidence: float, rng: np.random.Generator) -> Finding:
    """The calibration error beyond chance, between 0 and 1; sure where chance is too rare."""
    said, right = pair
    if not _is_probability(said):
        return unmeasured("not_probability")
    plain = ranking.calibration_error(said, right, BINS)
    drawn = np.array(
        [
            ranking.calibration_error(said, (rng.random(len(said)) < said).astype(float), BINS)
            for _ in range(DRAWS)
        ]
    )
    chance = float(drawn.mean())
    value = math.sqrt(max(0.0, plain**2 - chance**2))
    rare = (1 + int((drawn >= plain).sum())) / (DRAWS + 1) < 1 - confidence
    return Finding(value, rare, {"plain": plain, "by_chance": chance, "rows": len(said)})


def rise(
    mine: Pair, before: Pair, users: pa.ChunkedArray, confidence: float, rng: np.random.Generator
) -> Finding:
    """How much larger the calibration error is than before, on the same rows.

    Chance adds about the same to both. The interval is of a bootstrap over users; sure where it is
    above 0.
    """
    if not (_is_probability(mine[0]) and _is_probability(before[0])):
        return unmeasured("not_probability")
    sums = [_sums_by_user(pair, users) for pair in (mine, before)]
    size = sums[0].shape[1]
    rows = _counts(users)[:, None]
    samples = np.concatenate([*sums, rows], axis=1)
    drawn = np.concatenate(list(paired.resampled_means(samples, DRAWS, rng)))
    errors = [np.abs(drawn[:, at : at + size]).sum(axis=1) / drawn[:, -1] for at in (0, size)]
    value = ranking.calibration_error(*mine, BINS) - ranking.calibration_error(*before, BINS)
    tail = (1 - confidence) / 2
    # Resampling adds noise to both errors alike: the middle of the draws is moved to the value.
    apart = errors[0] - errors[1]
    apart += value - apart.mean()
    low, high = (float(end) for end in np.quantile(apart, [tail, 1 - tail]))
    told = {"low": low, "high": high, "rows": len(mine[0]), "users": len(rows)}
    return Finding(value, low > 0.0, told)


def _is_probability(said: Floats) -> bool:
    return bool(len(said)) and bool(((said >= 0.0) & (said <= 1.0 + 1e-9)).all())


def _counts(users: pa.ChunkedArray) -> Floats:
    codes = users.combine_chunks().dictionary_encode().indices.to_numpy()
    return np.bincount(codes).astype(np.float64)


def _sums_by_user(pair: Pair, users: pa.ChunkedArray) -> Floats:
    """(u, bins) by user and bin: the sum of probability − right; bins as in the plain error."""
    said, right = pair
    bins = min(BINS, len(said))
    bin_of = np.empty(len(said), np.int64)
    order = np.argsort(said, kind="stable")
    for number, part in enumerate(np.array_split(order, bins)):
        bin_of[part] = number
    codes = users.combine_chunks().dictionary_encode().indices.to_numpy()
    cell = codes.astype(np.int64) * bins + bin_of
    size = (int(codes.max()) + 1) * bins
    sums = np.bincount(cell, weights=said - right, minlength=size).astype(np.float64)
    return sums.reshape(-1, bins)
