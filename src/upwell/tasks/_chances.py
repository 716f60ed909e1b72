"""From scores to chances: how an item's probability is read as nearness or as acceptance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

NEVER = -1e4
"""The log-probability of what is out of the question; finite, so that sums stay finite."""
FLOOR = 1e-3
BAR = 100.0


def by_neighbours(nearness: Tensor, hidden: Tensor) -> Tensor:
    """Log-probabilities by the neighbours: squares of what B says, above a floor."""
    log_square = 2 * torch.log(nearness.clamp(min=0) + FLOOR)
    return log_square.masked_fill(hidden, NEVER).log_softmax(dim=1)


def accepts(log_prob: Tensor) -> Tensor:
    """Log-probability (n,) that a user accepts an item, from the item's log-probability (n,).

    A softmax over a catalogue gives every item a tiny probability, on which a bounded loss has no
    slope. So an item is held against a bar, the place of about the BAR-th best item:
    σ(log(BAR · p)) = p / (p + 1 / BAR).

    >>> round(accepts(torch.tensor([0.01]).log()).exp().item(), 3)
    0.5
    """
    return functional.logsigmoid(log_prob + torch.log(torch.tensor(BAR)))
