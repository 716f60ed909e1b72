"""How often users' signs are wrong, from signs on answers of a known probability of being right.

Given a user's two rates of error, signs on different answers are independent:
P(+1) = b (1 − miss) + (1 − b) pass, with b the belief that the answer is right. So a user's
likelihood is computed exactly on a grid of rates, and how rates are distributed over users is
estimated without a form, by EM on the grid's weights (Kiefer & Wolfowitz 1956; empirical Bayes),
started from and held to a Beta(2, 8) of wrong signs. It is convex: there is but one answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from upwell.stages.clean.answers import SUREST, Floats, Ints

_ROUNDS = 100
IMAGINED = 2.0
"""How many imagined users with rates from a Beta(2, 8) stand beside the real ones."""
TEMPERATURES = tuple(float(2.0 ** (step / 2)) for step in range(-5, 5))
"""Exponents that a belief's odds may need; even odds for 1, each factor 2 off costs ½ nat."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Pairs of rates (g,): ``miss`` = P(−1 | right) and ``fail`` = P(+1 | wrong); prior weights."""

    miss: Floats
    fail: Floats
    prior: Floats


@dataclass(frozen=True, slots=True)
class Rated:
    """What a grid says of users: ``posterior`` (u, g), ``evidence`` (u,) in nats."""

    grid: Grid
    posterior: Floats
    evidence: Floats

    def miss(self) -> Floats:
        """(u,) mean P(−1 | right)."""
        return self.posterior @ self.grid.miss

    def fail(self) -> Floats:
        """(u,) mean P(+1 | wrong)."""
        return self.posterior @ self.grid.fail


def one_rate() -> Grid:
    """Users who are wrong equally often about right and wrong answers."""
    rates = np.concatenate(
        [[0.002], np.arange(1, 10) / 100, np.arange(0.1, 0.9, 0.025), np.arange(0.9, 1, 0.02)]
    )
    weights = _beta(rates)
    return Grid(rates, rates, weights / weights.sum())


def two_rates() -> Grid:
    """Users who may, say, like everything: the two rates have nothing to do with each other."""
    rates = np.array([0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98])
    weights = np.outer(_beta(rates), _beta(rates)).reshape(-1)
    miss, fail = (axis.reshape(-1) for axis in np.meshgrid(rates, rates, indexing="ij"))
    return Grid(miss, fail, weights / weights.sum())


def tempered(belief: Floats, temperature: float) -> Floats:
    """Beliefs with odds raised to a power, none surer than ``SUREST``.

    >>> tempered(np.array([0.8, 0.5, 1.0]), 0.5).round(3).tolist()
    [0.667, 0.5, 0.98]
    """
    safe = np.clip(belief, 1e-9, 1 - 1e-9)
    odds = temperature * (np.log(safe) - np.log1p(-safe))
    found: Floats = np.clip(1 / (1 + np.exp(-odds)), 1 - SUREST, SUREST)
    return found


def rate(grid: Grid, user: Ints, liked: Floats, belief: Floats, users: int) -> Rated:
    """The rates of each user by all of n signs; ``liked`` is 1 for +1 and 0 for −1."""
    logs = np.zeros((users, len(grid.prior)))
    for place in range(len(grid.prior)):
        chance = _chance(grid, place, liked, belief)
        logs[:, place] = np.bincount(user, np.log(chance), users)
    top = logs.max(axis=1, keepdims=True)
    likelihood = np.exp(logs - top)
    weights = grid.prior
    for _ in range(_ROUNDS):
        posterior = likelihood * weights
        posterior /= posterior.sum(1, keepdims=True)
        weights = (posterior.sum(0) + IMAGINED * grid.prior) / (users + IMAGINED)
    joint = likelihood * weights
    whole = joint.sum(1)
    return Rated(grid, joint / whole[:, None], np.log(whole) + top[:, 0])


def unseen(rated: Rated, user: Ints, liked: Floats, belief: Floats) -> Floats:
    """(n,) log-probability of each sign by its user's other signs: exact leave-one-out."""
    found = np.zeros(len(user))
    for place in range(len(rated.grid.prior)):
        chance = _chance(rated.grid, place, liked, belief)
        found += rated.posterior[user, place] / chance
    logs: Floats = -np.log(found)
    return logs


def temperature(grid: Grid, user: Ints, liked: Floats, belief: Floats, users: int) -> float:
    """The exponent of ``TEMPERATURES`` under which the signs are most probable.

    A model that is too sure of itself makes careful users look careless, and careless ones no
    worse; only the right temperature explains both. Costs one ``rate`` each.
    """

    def worth(power: float) -> float:
        heard = rate(grid, user, liked, tempered(belief, power), users)
        return float(heard.evidence.sum()) - 0.5 * float(np.log2(power)) ** 2

    return float(max(TEMPERATURES, key=worth))


def quantile(rated: Rated, values: Floats, share: float) -> Floats:
    """(u,) quantiles of a quantity (g,) under each user's posterior."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(rated.posterior[:, order], axis=1)
    found: Floats = values[order][np.minimum((below < share).sum(1), len(values) - 1)]
    return found


def _chance(grid: Grid, place: int, liked: Floats, belief: Floats) -> Floats:
    """(n,) probability of each sign at one place of the grid."""
    fail = grid.fail[place]
    like = fail + (1 - grid.miss[place] - fail) * belief
    found: Floats = np.where(liked > 0, like, 1 - like)
    return found


def _beta(rates: Floats) -> Floats:
    """Density of a Beta(2, 8), times the width of each step."""
    weights: Floats = rates * (1 - rates) ** 7 * np.gradient(rates)
    return weights
