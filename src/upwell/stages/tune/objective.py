"""The losses, each written once over log-probabilities: L = λ·mean_D ℓ + (1 − λ)·mean_F ℓ_f.

D are labels, F is feedback with a sign f = ±1. A task supplies log p(target); nothing here knows
what a target is. An objective is one function from ``Shown`` to a loss per row, found by its
name in ``OBJECTIVES``. The textbook's f·(−log p) has no minimum once a dislike is unmatched; the
bounded form keeps the formula and bounds ℓ: with P₊ = (1−ρ)p + ρ(1−p), P₋ = 1−P₊ and
ℓ = (1 − P_f^q)/q, every row lies between 0 and 1/q and stops pushing once it is satisfied. All
others are there to be compared with, and what talks learns by some of them. How reliable a rater is
goes into the loss of ``HEEDING``, and into the weight of a row for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from upwell.settings import TuneSettings
from upwell.stages.tune.preferences import apo_zero, dpo, kto, npo
from upwell.stages.tune.propensities import ips, snips
from upwell.stages.tune.shown import Objective, Shown, agreement, inside, noisy_log_prob


def label_loss(log_prob: Tensor) -> Tensor:
    """−log p, the loss of a labelled row.

    >>> label_loss(torch.tensor([0.5]).log())
    tensor([0.6931])
    """
    return -log_prob


def bounded(shown: Shown, settings: TuneSettings) -> Tensor:
    """(1 − P_f^q)/q: between 0 and 1/q, and its gradient on a logit vanishes once satisfied.

    q = 1 is the textbook's own f·ℓ with ℓ = 1 − p; q → 0 is ``likelihood``. The loss is that of
    Zhang and Sabuncu 2018, arXiv:1805.07836, on the probability of the sign instead of a class.

    >>> from upwell.stages.tune.shown import example
    >>> settings = TuneSettings(q=1.0, flip_rate=0.0)
    >>> bounded(example([0.9, 0.9, 0.5, 1.0], [1, -1, 1, -1]), settings)
    tensor([0.1000, 0.9000, 0.5000, 1.0000])
    """
    power = settings.q * noisy_log_prob(shown, settings.flip_rate)
    return -torch.expm1(power) / settings.q


def likelihood(shown: Shown, settings: TuneSettings) -> Tensor:
    """−log P_f ≥ 0: the likelihood of noisy signs, a proper score for held-out feedback.

    At most −log ρ where signs may be wrong. Its gradient on a logit vanishes once satisfied.

    >>> from upwell.stages.tune.shown import example
    >>> likelihood(example([0.5, 0.0], [1, 1]), TuneSettings(flip_rate=0.05))
    tensor([0.6931, 2.9957])
    """
    return -noisy_log_prob(shown, settings.flip_rate)


def unlikelihood(shown: Shown, settings: TuneSettings) -> Tensor:
    """−log p for a like, −log(1 − p) for a dislike: ≥ 0, without an upper bound.

    ``likelihood`` of signs that are never wrong. The gradient on a logit, −(1−p) or p, vanishes
    once satisfied. Welleck et al. 2019, arXiv:1908.04319.

    >>> from upwell.stages.tune.shown import example
    >>> unlikelihood(example([0.9, 0.9], [1, -1]), TuneSettings())
    tensor([0.1054, 2.3026])
    """
    return -agreement(shown)


def positives(shown: Shown, settings: TuneSettings) -> Tensor:
    """−log p for a like, 0 for a dislike: ≥ 0, without an upper bound.

    What was liked is learned as if it were a label (filtered fine-tuning) and what was disliked
    is thrown away. The gradient on a logit, −(1−p), vanishes once satisfied.

    >>> from upwell.stages.tune.shown import example
    >>> positives(example([0.9, 0.9], [1, -1]), TuneSettings())
    tensor([0.1054, 0.0000])
    """
    log_prob = inside(shown.log_prob)
    return torch.where(shown.sign > 0, -log_prob, torch.zeros_like(log_prob))


def textbook(shown: Shown, settings: TuneSettings) -> Tensor:
    """f·(−log p), kept for comparison: −∞ is its minimum wherever a dislike is unmatched.

    It is the one objective here that is not bounded below, and whose gradient on a logit does not
    vanish for a dislike that is satisfied: it tends to 1.

    >>> from upwell.stages.tune.shown import example
    >>> textbook(example([0.001, 0.001], [1, -1]), TuneSettings())
    tensor([ 6.9078, -6.9078])
    """
    return -shown.sign * shown.log_prob


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "bounded": bounded,
        "likelihood": likelihood,
        "unlikelihood": unlikelihood,
        "positives": positives,
        "ips": ips,
        "snips": snips,
        "kto": kto,
        "apo_zero": apo_zero,
        "dpo": dpo,
        "npo": npo,
        "textbook": textbook,
    }
)

REFERENCED = frozenset({"kto", "apo_zero", "dpo", "npo"})
"""Objectives that look at ``reference_log_prob``."""
PAIRED = "dpo"
"""The one that looks at the difference of two rows."""
HEEDING = frozenset({"bounded", "likelihood"})
"""Those that believe a sign as far as its user is reliable; for others its weight is less."""
CONTRASTED = frozenset({"kto", "apo_zero"})
"""Those of single rows whose gradient is less noisy where a batch holds what was liked and what was
disliked of the same input: what both have in common drops out of the step."""


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
