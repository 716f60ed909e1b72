"""The numbers that a factorization explains: given ones, or those behind ordered levels.

Ordered probit: a level k is seen where a latent z ~ N(μ, 1) falls between the cuts c_{k−1} and
c_k. z is drawn given the level (Albert and Chib 1993), the cuts by Metropolis steps on the
likelihood with z integrated out, which mixes far better than cuts drawn given z (Cowles 1996).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_LEAST = 1e-12


class Latent(Protocol):
    """What the chain asks of either kind."""

    precision: float

    def draw(self, mean: Floats, rng: np.random.Generator) -> Floats:
        """(n,) values to explain, given the mean that the factorization has for each."""
        ...

    def likelihood(self, mean: Floats) -> Floats:
        """(n,) how likely each observation is under its mean, up to a factor for all."""
        ...


class Real:
    """Numbers as they are, with normal noise of unknown precision."""

    def __init__(self, value: Floats) -> None:
        self.value = value
        self.precision = 1.0

    def draw(self, mean: Floats, rng: np.random.Generator) -> Floats:
        """The numbers; the precision is drawn from its Gamma posterior."""
        squares = float(((self.value - mean) ** 2).sum())
        self.precision = float(rng.gamma(1 + len(mean) / 2) / (0.1 + squares / 2))
        return self.value

    def likelihood(self, mean: Floats) -> Floats:
        """Normal densities without their constant."""
        return np.exp(-self.precision * (self.value - mean) ** 2 / 2)


class Ordered:
    """Levels 0 … L − 1 with unit noise on the latent scale and L − 1 cuts."""

    precision = 1.0

    def __init__(self, level: Ints, levels: int) -> None:
        self.level = level
        shares = np.cumsum(np.bincount(level, minlength=levels) + 0.5)[:-1]
        self.cuts: Floats = np.asarray(1.3 * ndtri(shares / (len(level) + levels / 2)))
        self._steps = 0
        self._shape = np.eye(levels - 1)

    def draw(self, mean: Floats, rng: np.random.Generator) -> Floats:
        """Cuts, then truncated normals between them."""
        self._move(mean, rng)
        below, above = self._ends(self.cuts, mean)
        place = below + (above - below) * rng.random(len(mean))
        return np.asarray(mean + ndtri(np.clip(place, _LEAST, 1 - _LEAST)))

    def likelihood(self, mean: Floats) -> Floats:
        """Φ(c_k − μ) − Φ(c_{k−1} − μ)."""
        below, above = self._ends(self.cuts, mean)
        return np.maximum(above - below, _LEAST)

    def _ends(self, cuts: Floats, mean: Floats) -> tuple[Floats, Floats]:
        ends = np.concatenate([[-np.inf], cuts, [np.inf]])
        return ndtr(ends[self.level] - mean), ndtr(ends[self.level + 1] - mean)

    def _score(self, cuts: Floats, mean: Floats) -> float:
        below, above = self._ends(cuts, mean)
        return float(np.log(np.maximum(above - below, _LEAST)).sum())

    def _move(self, mean: Floats, rng: np.random.Generator) -> None:
        """One Metropolis step, in the shape of the information, learned while the chain warms."""
        if self._steps in (0, 10, 30):
            self._shape = np.linalg.cholesky(np.linalg.inv(self._information(mean)))
        self._steps += 1
        size = len(self.cuts)
        tried = self.cuts + self._shape @ rng.normal(size=size) * (1.7 / np.sqrt(size))
        if (np.diff(tried) <= 0).any():
            return
        gain = self._score(tried, mean) - self._score(self.cuts, mean)
        if np.log(rng.random()) < gain:
            self.cuts = tried

    def _information(self, mean: Floats) -> Floats:
        """Σ of outer products of the rows' gradients in the cuts (Berndt et al. 1974)."""
        ends = np.concatenate([[-np.inf], self.cuts, [np.inf]])
        size = len(self.cuts)
        below, above = self._ends(self.cuts, mean)
        chance = np.maximum(above - below, _LEAST)
        upper = np.exp(-((ends[self.level + 1] - mean) ** 2) / 2) / np.sqrt(2 * np.pi) / chance
        lower = np.exp(-((ends[self.level] - mean) ** 2) / 2) / np.sqrt(2 * np.pi) / chance
        square = np.bincount(self.level, upper**2, size + 1)[:-1]
        square = square + np.bincount(self.level, lower**2, size + 1)[1:]
        cross = -np.bincount(self.level, upper * lower, size + 1)[1:-1]
        return np.diag(square + 1.0) + np.diag(cross, 1) + np.diag(cross, -1)
