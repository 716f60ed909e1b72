"""Losses that stand on logged propensities: what the model would earn if it answered itself.

Rows that were shown with probability π₀ and earned f stand for what a model earns that would show
them with probability p: f·p/π₀. No weight 1/π₀ counts for more than ``clip`` (Strehl et al. 2010,
arXiv:1003.0120: π₀ as max(π₀, 1/clip)), so that rare rows cannot outweigh all others and every
row still has a slope, which a clipped product p/π₀ has not. A row whose propensity is unknown
counts as shown for certain (π₀ = 1): it is believed as it stands, and no more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from upwell.settings import TuneSettings
from upwell.stages.tune.shown import Shown, inside


def ips(shown: Shown, settings: TuneSettings) -> Tensor:
    """−f·p/max(π₀, 1/clip), inverse propensity scoring: between −clip and clip.

    The negative of what the model earns. The gradient on a logit, −f·p(1−p)/π₀, vanishes once a
    row is satisfied; it also does for likes of what the model deems impossible. Reliability is
    not looked at. Horvitz and Thompson 1952; Bottou et al. 2012, arXiv:1209.2355.

    >>> from upwell.stages.tune.shown import example
    >>> propensity = [0.5, 0.25, 0.01, float("nan")]
    >>> shown = example([0.5, 0.5, 0.5, 0.5], [1, -1, 1, 1], propensity=propensity)
    >>> ips(shown, TuneSettings(clip=20.0))
    tensor([ -1.0000,   2.0000, -10.0000,  -0.5000])
    """
    return -shown.sign * torch.exp(inside(shown.log_prob)) * _weights(shown, settings)


def snips(shown: Shown, settings: TuneSettings) -> Tensor:
    """−f·s·(Σw)/w with s the row's share of Σ w·p/π₀: ``ips``, self-normalised over the batch.

    Σ w ℓ / Σ w = −(Σ w·f·p/π₀)/(Σ w·p/π₀), between −1 and 1: the mean sign of what the model
    would show, to which a constant added to all signs adds nothing. A row's own loss lies within
    ±(Σw)/w. The gradient on log p, −s·(f − mean sign)·(Σw)/w, pushes likes up and dislikes down,
    and vanishes when all that is shown is liked; a batch of one sign teaches nothing. The ratio of
    means is biased in the order of 1/n, so small batches are no place for it. Swaminathan and
    Joachims, NeurIPS 2015.

    >>> from upwell.stages.tune.shown import example
    >>> shown = example([0.6, 0.2], [1, -1], propensity=[0.5, 0.5])
    >>> loss = snips(shown, TuneSettings())
    >>> loss, loss.mean()
    (tensor([-1.5000,  0.5000]), tensor(-0.5000))
    """
    weight = shown.weight.to(shown.log_prob)
    # Through logarithms, shares are numbers even where every p is too small to be one.
    logits = inside(shown.log_prob) + _weights(shown, settings).log() + weight.log()
    return -shown.sign * logits.softmax(0) * weight.sum() / weight


def _weights(shown: Shown, settings: TuneSettings) -> Tensor:
    """(n,) 1/max(π₀, 1/clip); 1 where π₀ is unknown."""
    propensity = shown.propensity.to(shown.log_prob)
    known = torch.where(propensity.isnan(), torch.ones_like(propensity), propensity)
    return known.clamp(min=1 / settings.clip).reciprocal()
