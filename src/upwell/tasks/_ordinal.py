"""Chances of ordered levels and of directions, for a latent normal value; all differentiable."""

from __future__ import annotations

import torch
from torch import Tensor

FAR = 1e3
"""The ends of the outermost levels, in latent deviations."""


def log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(Φ(high) − Φ(low)) for low < high, without loss of digits in either tail; ≤ 0.

    >>> log_between(torch.tensor([-1.0, 30.0]), torch.tensor([1.0, 31.0]))
    tensor([-3.8172e-01, -4.5432e+02])
    """
    flip = low + high > 0
    below, above = torch.where(flip, -high, low), torch.where(flip, -low, high)
    most = torch.special.log_ndtr(above)
    apart = (torch.special.log_ndtr(below) - most).clamp(max=-1e-6)
    found: Tensor = (most + log1mexp(apart)).clamp(max=0.0)
    return found


def log1mexp(x: Tensor) -> Tensor:
    """log(1 − e^x) for x < 0 (Mächler 2012).

    >>> log1mexp(torch.tensor([-0.6931472]))
    tensor([-0.6931])
    """
    small = x > -0.6931472
    near = torch.where(small, x, torch.full_like(x, -0.5))
    far = torch.where(small, torch.full_like(x, -1.0), x)
    return torch.where(small, torch.log(-torch.expm1(near)), torch.log1p(-torch.exp(far)))


def log_level(mean: Tensor, scale: Tensor, cuts: Tensor, level: Tensor) -> Tensor:
    """(n,) log-probabilities of levels 0 … L − 1 between the (L − 1,) cuts.

    >>> mean, level = torch.zeros(3), torch.tensor([0, 1, 2])
    >>> log_level(mean, torch.ones(3), torch.tensor([-1.0, 1.0]), level).exp()
    tensor([0.1587, 0.6827, 0.1587])
    """
    end = cuts.new_tensor([FAR])
    ends = torch.cat([-end, cuts, end])
    return log_between((ends[level] - mean) / scale, (ends[level + 1] - mean) / scale)


def chances(mean: Tensor, scale: Tensor, cuts: Tensor) -> Tensor:
    """(n, L) probabilities of all levels.

    >>> chances(torch.zeros(1), torch.ones(1), torch.tensor([-1.0, 1.0]))
    tensor([[0.1587, 0.6827, 0.1587]])
    """
    below = torch.special.ndtr((cuts - mean[:, None]) / scale[:, None])
    edge = below.new_zeros((len(mean), 1))
    return torch.diff(torch.cat([edge, below, edge + 1.0], 1), dim=1)


def latent_of(shown: Tensor, values: Tensor, cuts: Tensor) -> Tensor:
    """(n,) where shown numbers lie on the latent scale: levels in the middle between their cuts.

    The outermost levels lie half the neighbouring gap beyond their cut; between levels the line
    is straight, and so it goes on outside.

    >>> values, cuts = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, 1.0])
    >>> latent_of(torch.tensor([2.0, 2.5]), values, cuts)
    tensor([0., 1.])
    """
    gaps = torch.diff(cuts)
    first = gaps[:1] / 2 if len(gaps) else cuts.new_ones(1)
    last = gaps[-1:] / 2 if len(gaps) else cuts.new_ones(1)
    middle = torch.cat([cuts[:1] - first, (cuts[1:] + cuts[:-1]) / 2, cuts[-1:] + last])
    place = (torch.searchsorted(values, shown.contiguous()) - 1).clamp(0, len(values) - 2)
    share = (shown - values[place]) / (values[place + 1] - values[place])
    return middle[place] + share * (middle[place + 1] - middle[place])
