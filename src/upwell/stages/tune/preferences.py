"""Losses that stand on a reference model: how far the new one may prefer what was liked.

All of them look at r = log p − log p_ref, how much more probable a target has become.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from upwell.settings import TuneSettings
from upwell.stages.tune.shown import Shown, inside, log_ratio


def kto(shown: Shown, settings: TuneSettings) -> Tensor:
    """1 − σ(f·β·(r − z)), Kahneman–Tversky: between 0 and 1.

    z ≥ 0 is the batch's mean r, without a gradient: how far the model has moved as a whole. (The
    paper estimates it on mismatched inputs and targets, at the price of another pass.) The
    gradient on log p, −f·β·σ(1−σ), vanishes far from z on both sides: for what is satisfied, and
    for what seems hopeless. Ethayarajh et al. 2024, arXiv:2402.01306.

    >>> from upwell.stages.tune.shown import example
    >>> shown = example([0.4, 0.1], [1, -1], reference=[0.2, 0.2])
    >>> kto(shown, TuneSettings(beta=1.0))
    tensor([0.3333, 0.3333])
    """
    ratio = log_ratio(shown)
    moved = ratio.detach().mean().clamp(min=0.0)
    return torch.sigmoid(-shown.sign * settings.beta * (ratio - moved))


def apo_zero(shown: Shown, settings: TuneSettings) -> Tensor:
    """1 − σ(f·β·r), anchored preference optimisation on single rows: between 0 and 1.

    Likes are to become more probable than they were, dislikes less, whatever the rest does. The
    gradient vanishes as in ``kto``. D'Oosterlinck et al. 2024, arXiv:2408.06266.

    >>> from upwell.stages.tune.shown import example
    >>> shown = example([0.4, 0.4], [1, -1], reference=[0.2, 0.2])
    >>> apo_zero(shown, TuneSettings(beta=1.0))
    tensor([0.3333, 0.6667])
    """
    return torch.sigmoid(-shown.sign * settings.beta * log_ratio(shown))


def dpo(shown: Shown, settings: TuneSettings) -> Tensor:
    """−(1−ε)·log σ(βΔ) − ε·log σ(−βΔ) − α·log p of a like: ≥ the entropy of ε, ≥ 0.

    Δ is r of the liked less r of the disliked row of a pair, and both rows carry the pair's loss.
    A row without a partner is held against a target that has not moved: Δ = f·r. ε is
    ``label_smoothing``. The gradient vanishes as Δ → ∞ without smoothing; with it, it does at
    βΔ = log((1−ε)/ε) and turns round beyond, so that no pair pulls for ever. α is ``imitated``:
    what the liked row counts for as a label besides. Rafailov et al. 2023, arXiv:2305.18290;
    smoothing: Mitchell 2023 ("conservative DPO"); α: Pang et al. 2024, arXiv:2404.19733.

    >>> from upwell.stages.tune.shown import example
    >>> shown = example([0.4, 0.1, 0.4], [1, -1, 1], reference=[0.2, 0.2, 0.2], partner=[1, 0, -1])
    >>> dpo(shown, TuneSettings(beta=1.0))
    tensor([0.2231, 0.2231, 0.4055])
    >>> dpo(shown, TuneSettings(beta=1.0, label_smoothing=0.2))
    tensor([0.5004, 0.5004, 0.5441])
    >>> dpo(shown, TuneSettings(beta=1.0, imitated=0.1))
    tensor([0.3148, 0.2231, 0.4971])
    """
    scaled, smooth = _apart(shown, settings), settings.label_smoothing
    apart = -(1 - smooth) * logsigmoid(scaled) - smooth * logsigmoid(-scaled)
    return apart - settings.imitated * inside(shown.log_prob) * (shown.sign > 0)


def missed(shown: Shown, settings: TuneSettings) -> Tensor:
    """1 − σ(βΔ) of each row's pair, Δ as in ``dpo``: between 0 and 1, ½ where nothing has moved.

    What pairs are validated by. ``dpo``'s own loss grows without end with how sure a model is of
    the few pairs that it gets wrong, while it gets more of them right.

    >>> from upwell.stages.tune.shown import example
    >>> shown = example([0.4, 0.1], [1, -1], reference=[0.2, 0.2], partner=[1, 0])
    >>> missed(shown, TuneSettings(beta=1.0))
    tensor([0.2000, 0.2000])
    """
    return torch.sigmoid(-_apart(shown, settings))


def _apart(shown: Shown, settings: TuneSettings) -> Tensor:
    """βΔ of each row's pair."""
    signed = shown.sign * log_ratio(shown)
    if shown.partner is not None:
        other = signed[shown.partner.clamp(min=0)]
        signed = signed + torch.where(shown.partner >= 0, other, torch.zeros_like(other))
    return settings.beta * signed


def npo(shown: Shown, settings: TuneSettings) -> Tensor:
    """−(2/β)·log σ(−β·r) for a dislike, −log p for a like: both ≥ 0.

    Negative preference optimisation knows dislikes alone; likes are learned like labels. The
    gradient on log p of a dislike, 2·p^β/(p^β + p_ref^β), vanishes as p → 0; that of a like, −1,
    never does, though on a logit it does. Zhang et al. 2024, arXiv:2404.05868.

    >>> from upwell.stages.tune.shown import example
    >>> shown = example([0.5, 0.2, 0.1], [1, -1, -1], reference=[0.2, 0.2, 0.2])
    >>> npo(shown, TuneSettings(beta=1.0))
    tensor([0.6931, 1.3863, 0.8109])
    """
    away = -2 / settings.beta * logsigmoid(-settings.beta * log_ratio(shown))
    return torch.where(shown.sign > 0, -inside(shown.log_prob), away)
