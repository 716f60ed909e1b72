"""Which version answers a request while two of them serve, and with what probability.

A version is drawn for a unit: a user (``canary``, ``ab``), or a user on one day (``epsilon``,
``thompson``). The draw is a keyed hash of trial and unit, so it needs no memory: whoever comes
back meets the same version, on every replica. Someone nobody knows (an empty user) cannot be told
apart from the next one and is answered by the champion, outside the trial.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
_GRID = 4001


def draws(key: bytes, trial: str, users: Sequence[str], at: datetime, *, daily: bool) -> Floats:
    """(n,) numbers in [0, 1), each evenly distributed and always the same for a unit."""
    day = f"{at.astimezone(UTC):%Y-%m-%d}" if daily else ""
    told = (f"{trial}\x00{day}\x00{user}".encode() for user in users)
    heads = [hmac.digest(key, one, hashlib.sha256)[:8] for one in told]
    # 53 bits are what a float holds; rounding all 64 could give 1.0.
    return np.array([int.from_bytes(head) >> 11 for head in heads], dtype=np.float64) / 2.0**53


def chosen(
    key: bytes, trial: str, users: Sequence[str], at: datetime, chance: float, *, daily: bool
) -> Booleans:
    """(n,) whether each user meets the challenger, which has probability ``chance``."""
    known = np.array([bool(user) for user in users], dtype=bool)
    drawn: Booleans = draws(key, trial, users, at, daily=daily) < chance
    return known & drawn


def day_begins(at: datetime) -> datetime:
    """Midnight (UTC) of the day in which a moment lies: from when a day's draw holds."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def posterior(rewards: Sequence[float]) -> tuple[float, float]:
    """Beta parameters of a version after rewards in [−1, 1], begun from (1, 1).

    A reward r counts as (1 + r)/2 of a success and (1 − r)/2 of a failure.

    >>> posterior([1.0, 1.0, -1.0, 0.0])
    (3.5, 2.5)
    """
    good = sum((1.0 + reward) / 2.0 for reward in rewards)
    return 1.0 + good, 1.0 + len(rewards) - good


def thompson(versions: Mapping[str, tuple[float, float]], floor: float) -> dict[str, float]:
    """The probability with which each version is drawn: that it is the best one.

    Probability matching: drawing by it is Thompson sampling, with the probability known, so that
    it can be logged. ∫ f_k Π_{j≠k} F_j over Beta posteriors (Scott, A modern Bayesian look at
    the multi-armed bandit, 2010). None gets less than ``floor`` (at most 1 / versions).

    >>> {name: round(p, 3) for name, p in thompson({"a": (1, 1), "b": (1, 1)}, 0.05).items()}
    {'a': 0.5, 'b': 0.5}
    """
    grid = (np.arange(_GRID) + 0.5) / _GRID
    density = {name: _beta(grid, *shape) for name, shape in versions.items()}
    below = {name: np.cumsum(mass) - mass / 2.0 for name, mass in density.items()}
    best = {}
    for name, mass in density.items():
        others = [below[other] for other in versions if other != name]
        best[name] = float((mass * np.prod(others, axis=0)).sum()) if others else 1.0
    total, count = sum(best.values()), len(best)
    least = min(floor, 1.0 / count)
    return {name: least + (1.0 - count * least) * p / total for name, p in best.items()}


def epsilon_greedy(versions: Mapping[str, tuple[float, float]], epsilon: float) -> dict[str, float]:
    """ε / versions for each, and the rest for the one with the best mean so far.

    Of equal ones the first.

    >>> epsilon_greedy({"champion": (3, 1), "challenger": (1, 1)}, 0.25)
    {'champion': 0.875, 'challenger': 0.125}
    """
    means = {name: good / (good + bad) for name, (good, bad) in versions.items()}
    best = max(means, key=means.__getitem__)
    even = epsilon / len(versions)
    return {name: even + (1.0 - epsilon if name == best else 0.0) for name in versions}


def _beta(grid: Floats, good: float, bad: float) -> Floats:
    """Mass of Beta(good, bad) on an even grid, summing to 1."""
    level = (good - 1.0) * np.log(grid) + (bad - 1.0) * np.log1p(-grid)
    mass: Floats = np.exp(level - level.max())
    return mass / math.fsum(mass)
