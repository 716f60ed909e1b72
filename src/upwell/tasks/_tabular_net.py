"""The network behind tables: a linear part and a small multilayer perceptron, added.

With classes it gives their log-probabilities; with a number, a normal distribution whose scale
is learned, read in cells of a fixed width so that every answer has a probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

OUTLIERS, WIDER = 0.01, 10.0
"""Share of values that a normal distribution says nothing of, and how much wider theirs is."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes: numbers in, scores out (classes, or 1 for a value), and the hidden layers."""

    inputs: int
    outputs: int
    width: int = 64
    dropout: float = 0.1


class Net(nn.Module):
    """Scores of encoded rows."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(shape.inputs, shape.outputs)
        self.deep = nn.Sequential(
            nn.Linear(shape.inputs, shape.width), nn.GELU(), nn.Dropout(shape.dropout),
            nn.Linear(shape.width, shape.width), nn.GELU(),
            nn.Linear(shape.width, shape.outputs),
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs) scores."""
        scores: Tensor = self.linear(x) + self.deep(x)
        return scores


def log_cell(value: Tensor, mean: Tensor, scale: Tensor, half: float) -> Tensor:
    """Logarithm (n,) of the probability of ``value`` ± ``half``.

    Normal around ``mean`` with ``scale``, of which a share OUTLIERS is WIDER, so that one
    far value does not decide what is learned (Tukey 1960, the contaminated normal).

    >>> value, mean = torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1e4])
    >>> log_cell(value, mean, torch.ones(()), 0.5).exp()
    tensor([0.3795, 0.0000])
    """
    plain = _log_interval(value - mean, scale, half)
    wide = _log_interval(value - mean, scale * WIDER, half)
    return torch.logaddexp(plain + math.log1p(-OUTLIERS), wide + math.log(OUTLIERS))


def log_above(shown: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Logarithm (n,) of the probability that the value is above what was shown.

    >>> log_above(torch.tensor([1.0]), torch.tensor([1.0]), torch.ones(())).exp()
    tensor([0.5000])
    """
    found: Tensor = torch.special.log_ndtr((mean - shown) / scale)
    return found


def _log_interval(apart: Tensor, scale: Tensor, half: float) -> Tensor:
    """log(Φ(b) − Φ(a)) of a cell, mirrored into the lower tail, where Φ keeps its digits."""
    distance = apart.abs()
    upper, lower = (half - distance) / scale, (-half - distance) / scale
    high, low = torch.special.log_ndtr(upper), torch.special.log_ndtr(lower)
    inside: Tensor = high + torch.log(-torch.expm1((low - high).clamp(max=-1e-7)))
    return inside
