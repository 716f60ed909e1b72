"""What an objective may look at, and the arithmetic of probabilities that objectives share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from upwell.settings import TuneSettings

LOWEST = -1e4
"""Log-probabilities below this count as this: e^−10000 is 0 in every number format."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Feedback on n targets that users were shown: all an objective may look at, each (n,).

    ``sign`` is ±1, ``weight`` > 0, ``reliability`` in [0, 1] (see ``flip_rates``),
    ``propensity`` is the probability with which the target was shown (NaN: unknown).
    ``reference_log_prob`` comes from the model that a loss is measured against; None: from this
    model as it is now. ``partner`` is the place of the row that a correction made together with
    this one, −1 where there is none; None: nowhere.
    """

    log_prob: Tensor
    sign: Tensor
    weight: Tensor
    reliability: Tensor
    propensity: Tensor
    reference_log_prob: Tensor | None = None
    partner: Tensor | None = None


class Objective(Protocol):
    """A loss on feedback."""

    def __call__(self, shown: Shown, settings: TuneSettings) -> Tensor:
        """(n,) losses, before weights, differentiable in ``shown.log_prob``."""
        ...


def flip_rates(reliability: Tensor, flip_rate: float) -> Tensor:
    """Probability that a sign is wrong: r·ρ + (1−r)/2.

    A rater of reliability r gives considered signs with probability r (wrong at the base rate
    ρ) and tosses a coin otherwise; a rater of reliability 0 therefore teaches nothing.

    >>> flip_rates(torch.tensor([1.0, 0.5, 0.0]), 0.1)
    tensor([0.1000, 0.3000, 0.5000])
    """
    return reliability * flip_rate + (1.0 - reliability) / 2


def noisy_log_prob(shown: Shown, flip_rate: float) -> Tensor:
    """Logarithm of P_f = ρ + (1−2ρ)·p_f, with p_f = p for a like and 1 − p for a dislike; ≤ 0."""
    agrees = agreement(shown)
    flips = flip_rates(shown.reliability.to(agrees), flip_rate)
    mixed = torch.logaddexp(flips.log(), torch.log1p(-2 * flips) + agrees)
    return torch.where(flips > 0, mixed, agrees).clamp(max=0.0)


def agreement(shown: Shown) -> Tensor:
    """Log p_f: log p for a like, log(1 − p) for a dislike.

    >>> agreement(example([0.25, 0.25], [1, -1]))
    tensor([-1.3863, -0.2877])
    """
    log_prob = inside(shown.log_prob)
    return torch.where(shown.sign > 0, log_prob, log1mexp(log_prob))


def log_ratio(shown: Shown) -> Tensor:
    """R = log p − log p_ref.

    >>> log_ratio(example([0.5, 0.5], [1, 1], reference=[0.25, 0.5]))
    tensor([0.6931, 0.0000])
    """
    log_prob = inside(shown.log_prob)
    if shown.reference_log_prob is None:
        return log_prob - log_prob.detach()
    return log_prob - inside(shown.reference_log_prob.to(log_prob))


def log1mexp(x: Tensor) -> Tensor:
    """log(1 − e^x) for x < 0, without loss of digits at either end.

    >>> log1mexp(torch.tensor([-1e-6, -math.log(2), -20.0]))
    tensor([-1.3816e+01, -6.9315e-01, -2.0612e-09])
    """
    near = x > -math.log(2)
    return torch.where(near, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


def inside(log_prob: Tensor) -> Tensor:
    """Log-probabilities moved off 0, where 1 − p has no logarithm; the gradient stays whole."""
    highest = -torch.finfo(log_prob.dtype).eps
    excess = (log_prob.detach() - highest).clamp(min=0.0)
    return (log_prob - excess).clamp(min=LOWEST)


def example(
    probability: Sequence[float],
    sign: Sequence[int],
    *,
    propensity: Sequence[float] | None = None,
    reference: Sequence[float] | None = None,
    partner: Sequence[int] | None = None,
) -> Shown:
    """Fully reliable feedback of weight 1, from probabilities; propensities are 1 if not given."""
    ones = torch.ones(len(sign))
    return Shown(
        torch.tensor(probability).log(),
        torch.tensor(sign).float(),
        ones,
        ones,
        ones if propensity is None else torch.tensor(propensity),
        None if reference is None else torch.tensor(reference).log(),
        None if partner is None else torch.tensor(partner),
    )
