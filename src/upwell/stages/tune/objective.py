"""The losses, each written once over log-probabilities: L = λ·mean_D ℓ + (1 − λ)·mean_F ℓ_f.

D are labels, F is feedback with a sign f = ±1. A task supplies log p(target); nothing here knows
what a target is. An objective is one function from ``Shown`` to a loss per row, found by its
name in ``OBJECTIVES``. The textbook's f·(−log p) has no minimum once a dislike is unmatched; the
bounded form keeps the formula and bounds ℓ: with P₊ = (1−ρ)p + ρ(1−p), P₋ = 1−P₊ and
ℓ = (1 − P_f^q)/q, every row lies between 0 and 1/q and stops pushing once it is satisfied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor

from upwell.settings import TuneSettings

LOWEST = -1e4
"""Log-probabilities below this count as this: e^−10000 is 0 in every number format."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Feedback on n targets that users were shown: all an objective may look at, each (n,).

    ``sign`` is ±1, ``weight`` ≥ 0, ``reliability`` in [0, 1] (see ``flip_rates``),
    ``propensity`` is the probability with which the target was shown (NaN: unknown) and
    ``reference_log_prob`` comes from the model that a loss is measured against, if any.
    """

    log_prob: Tensor
    sign: Tensor
    weight: Tensor
    reliability: Tensor
    propensity: Tensor
    reference_log_prob: Tensor | None = None


class Objective(Protocol):
    """A loss on feedback."""

    def __call__(self, shown: Shown, settings: TuneSettings) -> Tensor:
        """(n,) losses, before weights, differentiable in ``shown.log_prob``."""
        ...


def label_loss(log_prob: Tensor) -> Tensor:
    """−log p, the loss of a labelled row.

    >>> label_loss(torch.tensor([0.5]).log())
    tensor([0.6931])
    """
    return -log_prob


def bounded(shown: Shown, settings: TuneSettings) -> Tensor:
    """(1 − P_f^q)/q: between 0 and 1/q, and its gradient on a logit vanishes once satisfied.

    q = 1 is the textbook's own f·ℓ with ℓ = 1 − p; q → 0 is ``likelihood``.

    >>> settings = TuneSettings(q=1.0, flip_rate=0.0)
    >>> bounded(_shown([0.9, 0.9, 0.5, 1.0], [1, -1, 1, -1]), settings)
    tensor([0.1000, 0.9000, 0.5000, 1.0000])
    """
    power = settings.q * noisy_log_prob(shown, settings.flip_rate)
    return -torch.expm1(power) / settings.q


def likelihood(shown: Shown, settings: TuneSettings) -> Tensor:
    """−log P_f: the likelihood of noisy signs, a proper score for held-out feedback.

    >>> likelihood(_shown([0.5, 0.0], [1, 1]), TuneSettings(flip_rate=0.05))
    tensor([0.6931, 2.9957])
    """
    return -noisy_log_prob(shown, settings.flip_rate)


def textbook(shown: Shown, settings: TuneSettings) -> Tensor:
    """f·(−log p), kept for comparison: −∞ is its minimum wherever a dislike is unmatched.

    >>> textbook(_shown([0.001, 0.001], [1, -1]), TuneSettings())
    tensor([ 6.9078, -6.9078])
    """
    return -shown.sign * shown.log_prob


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {"bounded": bounded, "likelihood": likelihood, "textbook": textbook}
)


def combined(label_share: float, sums: Tensor, totals: Tensor) -> Tensor:
    """λ·(Σ_D w ℓ)/(Σ_D w) + (1−λ)·(Σ_F w ℓ_f)/(Σ_F w), a scalar; an empty side adds nothing.

    ``sums`` and ``totals`` are (2,): Σ w ℓ and Σ w of labels, then of feedback. Sums of parts of
    the data against totals of all of it add up to the whole, so batches need no own mean.

    >>> combined(0.25, torch.tensor([4.0, 9.0]), torch.tensor([2.0, 3.0]))
    tensor(2.7500)
    """
    share = sums.new_tensor([label_share, 1.0 - label_share])
    scale = torch.where(totals > 0, share / totals, 0.0)
    return torch.where(scale > 0, sums, 0.0).mul(scale).sum()


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
    log_prob = _inside(shown.log_prob)
    agrees = torch.where(shown.sign > 0, log_prob, log1mexp(log_prob))
    flips = flip_rates(shown.reliability.to(log_prob), flip_rate)
    mixed = torch.logaddexp(flips.log(), torch.log1p(-2 * flips) + agrees)
    return torch.where(flips > 0, mixed, agrees).clamp(max=0.0)


def log1mexp(x: Tensor) -> Tensor:
    """log(1 − e^x) for x < 0, without loss of digits at either end.

    >>> log1mexp(torch.tensor([-1e-6, -math.log(2), -20.0]))
    tensor([-1.3816e+01, -6.9315e-01, -2.0612e-09])
    """
    near = x > -math.log(2)
    return torch.where(near, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


def _inside(log_prob: Tensor) -> Tensor:
    """Log-probabilities moved off 0, where 1 − p has no logarithm; the gradient stays whole."""
    highest = -torch.finfo(log_prob.dtype).eps
    excess = (log_prob.detach() - highest).clamp(min=0.0)
    return (log_prob - excess).clamp(min=LOWEST)


def _shown(probability: list[float], sign: list[int]) -> Shown:
    """Fully reliable feedback of weight 1, for examples."""
    ones = torch.ones(len(sign))
    log_prob = torch.tensor(probability).log()
    return Shown(log_prob, torch.tensor(sign).float(), ones, ones, ones)
