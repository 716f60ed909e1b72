"""May an estimate from logs be told at all? Never a number where the logs cannot carry one.

Refused, in this order, each with its numbers: rows that cannot be right (lengths, rewards that are
not finite, propensities that are missing, 0 or above 1, a policy that is not a probability);
answers that chance had no say in; a policy that would show what never was shown; weights that sum
to more than a policy can; too few rows; one row, or one user, who outweighs the rest; too few
effective rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upwell.records import Json
from upwell.stages.evaluate.certainty import by_user, estimate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST_SIZE = 100.0
"""Effective rows below which nothing is told."""
LARGEST_SHARE = 0.1
"""The share of all weight that one row or one user may have."""
LEAST_COVER = 0.95
"""The share of what the policy would show that must have had a chance to be shown."""
_SURE = 0.99


@dataclass(frozen=True, slots=True)
class Log:
    """Answers that were shown (n,), what each earned, and how probable each was and would be.

    ``propensity`` is the probability with which the answer was shown, ``chance`` that with which
    the policy on trial would have shown it to the same request; ``reward`` any number; ``user``
    codes from 0 without gaps, or None where every row is on its own. ``share`` (n,) ≥ 0 is how much
    each row stands for (all alike where None).
    """

    reward: Floats
    propensity: Floats
    chance: Floats
    user: Integers | None = None
    share: Floats | None = None

    @property
    def weight(self) -> Floats:
        """(n,) w = π/π₀, times the row's share over the mean share."""
        ratio: Floats = self.chance / self.propensity
        return ratio if self.share is None else ratio * (self.share / self.share.mean())


@dataclass(frozen=True, slots=True)
class Support:
    """What the weights can carry. ``refused`` is a word key, None where estimates may be told.

    ``size`` is the effective sample size (Σw)²/Σw² (Kish 1965), ``largest`` the largest share of
    the weight that one row or user has, ``mean`` the mean weight, which is 1 where everything that
    the policy would show was shown at times, and ``missing`` the share that surely was not.
    ``numbers`` fill the sentence of ``refused``.
    """

    rows: int
    size: float
    largest: float
    mean: float
    missing: float
    refused: str | None
    numbers: Mapping[str, Json]


def support(log: Log) -> Support:
    """The Support of a log for the policy on trial."""
    wrong = next(_wrong(log), None)
    if wrong is not None:
        key, numbers = wrong
        return Support(len(log.reward), 0.0, 0.0, 0.0, 0.0, key, numbers)
    weight = log.weight
    total, rows = float(weight.sum()), len(weight)
    size = effective(weight)
    by_unit = weight if log.user is None else by_user(weight, log.user)
    largest = float(by_unit.max()) / total if total else 0.0
    mean = total / rows
    told = estimate(mean, weight - mean, _SURE, log.user)
    missing = max(0.0, 1.0 - told.high) if math.isfinite(told.high) else 0.0
    found: dict[str, Json] = {
        "rows": rows, "size": size, "largest": largest, "mean": mean, "missing": missing,
        "least": LEAST_SIZE, "most": LARGEST_SHARE,
    }  # fmt: skip
    refused = None
    if bool((log.propensity >= 1.0).all()) and bool((log.chance < 1.0).any()):
        refused = "ope.refused.deterministic"
    elif not total or missing > 1.0 - LEAST_COVER:
        refused = "ope.refused.support"
    elif told.low > 2.0 - LEAST_COVER:
        refused = "ope.refused.excess"
    elif rows >= LEAST_SIZE and largest > LARGEST_SHARE:
        # Before the size: a row with a tenth of the weight alone makes that less than 100.
        refused = "ope.refused.weight" if log.user is None else "ope.refused.user"
    elif size < LEAST_SIZE:
        refused = "ope.refused.size"
    return Support(rows, size, largest, mean, missing, refused, found if refused else {})


def effective(weight: Floats) -> float:
    """The effective sample size (Σw)²/Σw², 0 where no weight is above 0.

    >>> effective(np.array([1.0, 1.0, 0.0, 0.0]))
    2.0
    """
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def _wrong(log: Log) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """What is wrong with the rows themselves, first things first; nothing where all are right."""
    rows = len(log.reward)
    columns = [log.propensity, log.chance, log.user, log.share]
    if not rows:
        yield "ope.refused.rows", {"rows": 0}
    if any(column is not None and len(column) != rows for column in columns):
        yield "ope.refused.lengths", {"rows": rows}
    bad = int(rows - np.count_nonzero((log.propensity > 0.0) & (log.propensity <= 1.0)))
    if bad:
        yield "ope.refused.propensity", {"bad": bad, "rows": rows}
    bad = int(rows - np.count_nonzero(np.isfinite(log.reward)))
    if bad:
        yield "ope.refused.reward", {"bad": bad, "rows": rows}
    bad = int(rows - np.count_nonzero((log.chance >= 0.0) & (log.chance <= 1.0)))
    if bad:
        yield "ope.refused.policy", {"bad": bad, "rows": rows}
    if log.share is not None and not _shares(log.share):
        yield "ope.refused.share", {"rows": rows}


def _shares(share: Floats) -> bool:
    return bool(np.isfinite(share).all() and (share >= 0.0).all() and share.any())
