"""A Bayesian factorization machine for ratings, by Gibbs sampling with block updates.

    μ(u, i) = b_u + b_i + p_u · q_i + Σ_s e_s(row)      p_u ~ N(m + Σ_g x_u^g β^g, 1/τ)

and likewise for items: the machine of Freudenthaler, Schmidt-Thieme and Rendle (2011) on users,
items and their side information, among it the sets of items a user rated and of users who rated
an item (timeSVD++ flipped, Rendle, Zhang and Koren 2019). A bias is a last factor whose partner
is 1. All factors of a user are drawn at once, all users side by
side; β is drawn through the bases of ``_side_information``; every precision has a Gamma prior.
e_s are effects of a user's day or sitting. Means over the draws are kept as factors of bounded
rank, so that memory stays small.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from upwell.tasks._latent import Latent, Ordered, Real
from upwell.tasks._side_information import Basis, Floats, Ints

Singles = npt.NDArray[np.float32]

TRUST = 50.0
"""Largest weight of a draw against the lightest, in the leave-one-out means."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a chain runs; chosen on a validation part of MovieLens-100K's u1.base."""

    rank: int = 10
    draws: int = 400
    warm: int = 40
    kept_rank: int = 96
    every: int = 8
    """Draws between two compressions."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is observed: (n,) codes of users and items, and effects as (codes, levels) pairs.

    ``value`` holds levels 0 … ``levels`` − 1, or real numbers where ``levels`` is 0.
    """

    user: Ints
    item: Ints
    value: Floats
    levels: int
    effects: tuple[tuple[Ints, int], ...]


@dataclass(slots=True)
class Posterior:
    """Means over the draws.

    ``user`` and ``item`` (rows, R + 1): factors and bias of everybody, then of the mean and of each
    coordinate of the features of somebody new. ``loo`` (n, 2): mean and variance of each
    observation's μ as if it had not been seen (importance weights, Gelfand et al. 1992).
    """

    user: Floats
    item: Floats
    effects: list[Floats]
    cuts: Floats
    noise: float
    loo: Floats


class _Side:
    """Users or items: their factors, what these are expected to be, and how firmly."""

    def __init__(
        self, code: Ints, count: int, groups: tuple[Basis, ...], rank: int, rng: np.random.Generator
    ) -> None:
        self.code, self.count, self.groups = code, count, groups
        self.factors = rng.normal(0, 0.1, (count, rank + 1))
        self.factors[:, -1] = 0.0
        self.mean = np.zeros(rank + 1)
        self.shares = [np.zeros((count, rank + 1)) for _ in groups]
        self.weights = [np.zeros((len(basis.spread), rank + 1)) for basis in groups]
        self.firm = np.full(rank + 1, 10.0)
        self.firms = [np.full(rank + 1, 10.0) for _ in groups]
        self.buckets = _buckets(code, count)

    def draw(
        self, design: Singles, rest: Floats, precision: float, rng: np.random.Generator
    ) -> None:
        """New factors for everybody, given (n, K + 1) partners and what they are to explain."""
        square, target = self._sums(design, rest.astype(np.float32))
        square *= precision
        target *= precision
        width = len(self.firm)
        square[:, range(width), range(width)] += self.firm
        target += self.firm * (self.mean + self._expected())
        lower = np.linalg.cholesky(square)
        half = np.linalg.solve(lower, target[:, :, None])
        noise = rng.normal(size=half.shape)
        self.factors = np.linalg.solve(lower.transpose(0, 2, 1), half + noise)[:, :, 0]

    def draw_expected(self, rng: np.random.Generator) -> None:
        """New weights of the side information, mean and precisions, given the factors."""
        total = self._expected()
        for place, basis in enumerate(self.groups):
            rest = self.factors - self.mean - total + self.shares[place]
            prior = self.firms[place] / basis.spread[:, None] ** 2
            posterior = prior + self.firm
            drawn = (basis.left.T @ rest) * self.firm / posterior
            drawn += rng.normal(size=drawn.shape) / np.sqrt(posterior)
            total -= self.shares[place]
            self.shares[place] = basis.left @ drawn
            total += self.shares[place]
            self.weights[place] = drawn / basis.spread[:, None]
            squares = (self.weights[place] ** 2).sum(0)
            self.firms[place] = rng.gamma(1 + len(drawn) / 2, size=len(squares)) / (1 + squares / 2)
        apart = self.factors - total
        firm = self.firm * self.count + 1.0
        self.mean = self.firm * apart.sum(0) / firm + rng.normal(size=len(firm)) / np.sqrt(firm)
        squares = ((apart - self.mean) ** 2).sum(0)
        self.firm = rng.gamma(1 + self.count / 2, size=len(firm)) / (1 + squares / 2)

    def told(self) -> Floats:
        """Factors of everybody, the mean, and the weights of what somebody new would bring."""
        brought = [
            weights
            for weights, basis in zip(self.weights, self.groups, strict=True)
            if basis.right is not None
        ]
        return np.concatenate([self.factors, self.mean[None], *brought])

    def _expected(self) -> Floats:
        return sum(self.shares, np.zeros(self.factors.shape))

    def _sums(self, design: Singles, rest: Singles) -> tuple[Floats, Floats]:
        """(count, K, K) and (count, K): Σ h hᵀ and Σ h r over the rows of each."""
        width = design.shape[1]
        square = np.zeros((self.count, width, width))
        target = np.zeros((self.count, width))
        padded = np.concatenate([design, np.zeros((1, width), np.float32)])
        rest = np.append(rest, np.float32(0))
        for members, places in self.buckets:
            rows = padded[places]
            turned = rows.transpose(0, 2, 1)
            square[members] = turned @ rows
            target[members] = (turned @ rest[places][:, :, None])[:, :, 0]
        return square, target


class _Effect:
    """A normal effect of each level of a factor, with its own precision."""

    def __init__(self, code: Ints, levels: int) -> None:
        self.code, self.levels = code, levels
        self.value = np.zeros(levels)
        self.firm = 10.0
        self.size = np.bincount(code, minlength=levels)

    def draw(self, left: Floats, precision: float, rng: np.random.Generator) -> Floats:
        """What is left to explain once the effect is drawn anew."""
        rest = left + self.value[self.code]
        firm = self.firm + precision * self.size
        mean = precision * np.bincount(self.code, rest, self.levels) / firm
        self.value = mean + rng.normal(size=self.levels) / np.sqrt(firm)
        squares = float((self.value**2).sum())
        self.firm = float(rng.gamma(1 + self.levels / 2) / (1 + squares / 2))
        return rest - self.value[self.code]


@dataclass(slots=True)
class _Product:
    """Σ over draws of A_d B_dᵀ as two factors; compressed by QR and SVD when it has grown."""

    rank: int
    left: list[Floats] = field(default_factory=list)
    right: list[Floats] = field(default_factory=list)

    def add(self, left: Floats, right: Floats) -> None:
        """One draw's factors."""
        self.left.append(left)
        self.right.append(right)

    def compress(self) -> None:
        """Keep the ``rank`` largest components of all that was added."""
        one, upper = np.linalg.qr(np.concatenate(self.left, 1))
        other, lower = np.linalg.qr(np.concatenate(self.right, 1))
        first, size, second = np.linalg.svd(upper @ lower.T)
        kept = min(self.rank, len(size))
        root = np.sqrt(size[:kept])
        self.left = [one @ (first[:, :kept] * root)]
        self.right = [other @ (second[:kept].T * root)]


class _Sums:
    """What is added up over the draws."""

    def __init__(self, known: Known, recipe: Recipe) -> None:
        self.product = _Product(recipe.kept_rank)
        self.count = 0
        self.loo = np.zeros((len(known.user), 3))
        self.rest: list[Floats] = []

    def add(self, told: list[Floats], rest: list[Floats], mean: Floats, chance: Floats) -> None:
        """One draw: both sides, other means (biases, effects, cuts, noise), and its fit."""
        self.count += 1
        self.product.add(told[0][:, :-1], told[1][:, :-1])
        rest = [told[0][:, -1], told[1][:, -1], *rest]
        self.rest = [a + b for a, b in zip(self.rest, rest, strict=True)] if self.rest else rest
        weight = 1.0 / np.maximum(chance, 1.0 / TRUST)
        self.loo += weight[:, None] * np.stack([np.ones_like(mean), mean, mean**2], 1)


def fit(
    known: Known, users: tuple[int, tuple[Basis, ...]], items: tuple[int, tuple[Basis, ...]],
    recipe: Recipe, seed: int,
) -> Posterior:  # fmt: skip
    """Draw from the posterior of ``known``; users and items are told as (count, bases).

    The same seed gives the same numbers. Time per draw grows with rows · rank² and with the
    cells of the bases · rank.
    """
    rng = np.random.default_rng(seed)
    sides = [_Side(code, *told, recipe.rank, rng) for code, told in
             ((known.user, users), (known.item, items))]  # fmt: skip
    effects = [_Effect(*effect) for effect in known.effects]
    latent: Latent = (
        Ordered(known.value.astype(np.int64), known.levels) if known.levels else Real(known.value)
    )
    mean, sums = np.zeros(len(known.user)), _Sums(known, recipe)
    for step in range(recipe.warm + recipe.draws):
        mean = _sweep(latent, sides, effects, mean, rng)
        if step < recipe.warm:
            continue
        cuts = latent.cuts if isinstance(latent, Ordered) else np.zeros(0)
        rest = [cuts, np.array([1 / latent.precision]), *(effect.value for effect in effects)]
        sums.add([side.told() for side in sides], rest, mean, latent.likelihood(mean))
        if sums.count % recipe.every == 0:
            sums.product.compress()
    return _posterior(sums)


def _sweep(
    latent: Latent, sides: list[_Side], effects: list[_Effect], mean: Floats,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Draw everything once; the new means of the observations."""
    value = latent.draw(mean, rng)
    left = value - mean
    for effect in effects:
        left = effect.draw(left, latent.precision, rng)
    for side, other in (sides, sides[::-1]):
        design = other.factors[other.code].astype(np.float32)
        design[:, -1] = 1.0
        left += np.einsum("nk,nk->n", design, side.factors[side.code])
        side.draw(design, left, latent.precision, rng)
        left -= np.einsum("nk,nk->n", design, side.factors[side.code])
        side.draw_expected(rng)
    return np.asarray(value - left)


def _posterior(sums: _Sums) -> Posterior:
    sums.product.compress()
    of_user, of_item, cuts, noise, *effects = [total / sums.count for total in sums.rest]
    weight, first, second = sums.loo.T
    mean = first / weight
    loo = np.stack([mean, np.maximum(second / weight - mean**2, 0.0)], 1)
    user = np.column_stack([sums.product.left[0] / sums.count, of_user])
    item = np.column_stack([sums.product.right[0], of_item])
    return Posterior(user, item, effects, cuts, float(noise[0]), loo)


def _buckets(code: Ints, count: int) -> list[tuple[Ints, Ints]]:
    """Members of like size and the places of their rows, padded with the row past all."""
    order = np.argsort(code, kind="stable")
    size = np.bincount(code, minlength=count)
    begin = np.cumsum(size) - size
    level = np.ceil(np.log(np.maximum(size, 1)) / np.log(1.3)).astype(np.int64)
    found = []
    for one in np.unique(level[size > 0]):
        members = np.flatnonzero((level == one) & (size > 0))
        step = np.arange(size[members].max())
        inside = step < size[members, None]
        places = np.minimum(begin[members, None] + step, len(code) - 1)
        found.append((members, np.where(inside, order[places], len(code))))
    return found
