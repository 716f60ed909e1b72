"""How probable each next word is, without keeping a number for every word there is.

For a vocabulary of 50,000 words the logits of 1,000 tokens are 200 MB, and learning keeps them
several times. Here they are made a few at a time. The gradient of one log-probability by its
hidden state is a single vector, W[y] − Σ p(w) W[w], which is found beside it and kept in place of
them ("cut cross-entropy", Wijmans et al. 2024, arXiv:2411.09009, without its second pass).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

AT_ONCE = 1 << 26
"""Bytes of logits at a time."""


def log_probs(head: Any, hidden: Tensor, target: Tensor) -> Tensor:
    """(m,) log-probabilities ≤ 0 of ``target`` (m,) after states ``hidden`` (m, d).

    ``head`` is a layer to (m, V) logits.
    """
    if type(head) is not nn.Linear or any(weight.requires_grad for weight in head.parameters()):
        return -nn.functional.cross_entropy(head(hidden).float(), target, reduction="none")
    untyped: Any = _Frozen
    found: Tensor = untyped.apply(hidden, head.weight, head.bias, target)
    return found


class _Frozen(torch.autograd.Function):
    """The same where the head is linear and does not learn."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor
    ) -> Tensor:
        learns = hidden.requires_grad
        rows = max(1, AT_ONCE // (4 * weight.shape[0]))
        found, slopes = list[Tensor](), list[Tensor]()
        for states, words in zip(torch.split(hidden, rows), torch.split(target, rows), strict=True):
            logits = nn.functional.linear(states, weight, bias).float()
            said = -nn.functional.cross_entropy(logits, words, reduction="none")
            found.append(said)
            if learns:
                whole = logits.gather(1, words[:, None]) - said[:, None]
                chances = logits.sub_(whole).exp_().to(weight.dtype)
                slopes.append((weight[words] - chances @ weight).to(hidden.dtype))
        if learns:
            ctx.save_for_backward(torch.cat(slopes) if slopes else torch.zeros_like(hidden))
        return torch.cat(found) if found else hidden.new_zeros(0)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return above[0][:, None].to(slopes.dtype) * slopes, None, None, None
