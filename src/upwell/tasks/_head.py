"""A linear head on vectors of length 1, which begins where the labels' own means put it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SCALE = 20.0
"""Logits are this times what the weights say, so that they move as fast as an encoder's do."""
SHRINKAGES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
SHARPNESSES = (0.003, 0.01, 0.03, 0.06, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
TIMID = 4.0
"""How far apart logits lie where single rows a class leave nothing to choose by."""


class Head(nn.Module):
    """``weight`` (classes, width), ``bias`` (classes,), and ``center`` (width,), which is fixed."""

    center: Tensor

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.register_buffer("center", torch.zeros(width))

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, classes) logits of vectors (n, width)."""
        return SCALE * ((vectors - self.center) @ self.weight.T + self.bias)

    def put(self, line: Line) -> None:
        """Give the head the weights of a line that was found in closed form."""
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(line.weight / SCALE))
            self.bias.copy_(torch.from_numpy(line.bias / SCALE))
            self.center.copy_(torch.from_numpy(line.center))


@dataclass(frozen=True, slots=True)
class Line:
    """Logits are (vectors − center) · weightᵀ + bias.

    ``likelihood`` is the mean log-probability of its rows, each judged without itself; −∞ where
    no class has two rows.
    """

    weight: Floats
    bias: Floats
    center: Floats
    likelihood: float


def discriminant(
    vectors: npt.NDArray[np.floating],
    of: Ints,
    weight: Floats,
    classes: int,
    judged: int | None = None,
) -> Line:
    """Linear discriminant analysis with a shrunk covariance, in closed form.

    Of n rows, ``vectors`` (n, width) are of class ``of`` (n,) and count ``weight`` (n,). The
    covariance within classes is (1 − a)·S + a·tr(S)/width·I (Friedman 1989). Shrinkage a and the
    sharpness of the logits are those under which each row is most probable when means and
    covariance are taken without it; only the first ``judged`` rows are asked. Priors are shares
    of rows with one more row a class; a class without rows has the mean of all.
    O(n·width² + width³).
    """
    x = np.asarray(vectors, np.float64)
    total: Floats = np.bincount(of, weight, classes).astype(np.float64)
    center = weight @ x / max(weight.sum(), 1e-12)
    x = x - center
    sums = np.zeros((classes, x.shape[1]))
    np.add.at(sums, of, weight[:, None] * x)
    means = sums / np.maximum(total, 1e-12)[:, None]
    apart = (x - means[of]) * np.sqrt(weight)[:, None]
    values, axes = np.linalg.eigh(apart.T @ apart / max(weight.sum(), 1e-12))
    prior = np.log((total + 1.0) / (total + 1.0).sum())
    seen = _Seen(x @ axes, means @ axes, of, weight, total, prior, judged)
    floor = max(float(values.mean()), 0.1 * float(x.var()), 1e-9)
    tried = [(1 - a) * np.maximum(values, 0.0) + a * floor for a in SHRINKAGES]
    found = [seen.likelihood(a, s) for a, s in zip(SHRINKAGES, tried, strict=True)]
    best = int(np.argmax([value for value, _ in found]))
    sharpness = found[best][1]
    inverse = means @ axes / tried[best]
    bias = -0.5 * np.einsum("cd,cd->c", inverse, means @ axes)
    weights = sharpness * inverse @ axes.T
    return Line(weights, sharpness * bias + prior, center, found[best][0])


@dataclass(frozen=True, slots=True)
class _Seen:
    """Rows and class means along the axes of the covariance."""

    x: Floats
    means: Floats
    of: Ints
    weight: Floats
    total: Floats
    prior: Floats
    judged: int | None

    def likelihood(self, shrinkage: float, spread: Floats) -> tuple[float, float]:
        """The best mean log-likelihood over sharpnesses when each row is judged without itself.

        Neither its class's mean nor the covariance has then met the row (the inverse changes by
        Sherman and Morrison's formula). A row that is its class's only one is left out. One row
        in n + 2 is taken to have any class, so that few rows never make it certain of anything.
        """
        rest = self.total[self.of] - self.weight
        usable = (rest > 1e-9) & (self.weight > 0)
        usable[self.judged :] &= self.judged is None
        if not usable.any():
            apart = np.ptp(self.x @ (self.means / spread).T, axis=1).mean()
            return -math.inf, TIMID / max(float(apart), 1e-9)
        scores = self._without_itself(shrinkage, spread, np.where(usable, rest, 1.0))[usable]
        of, found = self.of[usable], []
        doubt = 1.0 / (usable.sum() + 2.0)
        for sharpness in SHARPNESSES:
            logits = sharpness * scores + self.prior
            highest = logits.max(axis=1)
            log_sum = np.log(np.exp(logits - highest[:, None]).sum(axis=1)) + highest
            each = (1 - doubt) * logits[np.arange(len(logits)), of] + doubt * logits.mean(1)
            found.append(float(np.average(each - log_sum, weights=self.weight[usable])))
        return max(found), SHARPNESSES[int(np.argmax(found))]

    def _without_itself(self, shrinkage: float, spread: Floats, rest: Floats) -> Floats:
        """(n, classes) discriminants of each row by means and covariance without the row."""
        rows = np.arange(len(self.x))
        residual = self.x - self.means[self.of]
        pull = residual / spread
        part = (1 - shrinkage) * self.weight * (1 + self.weight / rest) / self.weight.sum()
        gain = part / np.maximum(1 - part * np.einsum("nd,nd->n", residual, pull), 1e-3)
        mean = self.means[self.of] - residual * (self.weight / rest)[:, None]
        scaled = self.means / spread
        toward = pull @ self.means.T
        own = np.einsum("nd,nd->n", pull, mean)
        with_x = self.x @ scaled.T
        with_x[rows, self.of] = np.einsum("nd,nd->n", self.x / spread, mean)
        size = np.tile(np.einsum("cd,cd->c", scaled, self.means), (len(rows), 1))
        size[rows, self.of] = np.einsum("nd,nd->n", mean / spread, mean)
        toward[rows, self.of] = own
        along = np.einsum("nd,nd->n", pull, self.x)
        more = gain[:, None] * toward
        found: Floats = with_x + more * along[:, None] - 0.5 * (size + more * toward)
        return found
