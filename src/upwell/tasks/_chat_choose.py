"""The next token of a reply: the likeliest that may be said, or one that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from upwell.ports import Manner
from upwell.tasks._chat_model import Talker

RIVALS = 32
"""Other tokens that are looked at, or remembered, at each place of a reply."""


@dataclass(slots=True, eq=False)
class Chooser:
    """Chooses the tokens of one reply; ``count`` is how many there are, ``last`` the last one."""

    manner: Manner
    chance: torch.Generator
    count: int = 0
    last: int = 0


def choose(model: Talker, logits: Tensor, choosers: Sequence[Chooser]) -> list[float | Exception]:
    """Give each its next token, by its row of (n, V) ``logits``; the tokens' log-probabilities.

    Where tokens are drawn, it is the probability with which they were drawn; at temperature 0 it
    is the model's. Who could not choose has what went wrong there; the others have their tokens.
    """
    if any(one.count == 0 or one.manner.temperature > 0 for one in choosers):
        found = [
            _tried(model, row[None], one) for row, one in zip(logits.cpu(), choosers, strict=True)
        ]
    else:
        whole = logits.float().logsumexp(dim=1)
        logits[:, model.marks] = -torch.inf
        best = logits.max(dim=1)
        log_probs = (best.values.float() - whole).tolist()
        found = list(zip(best.indices.tolist(), log_probs, strict=True))
    said: list[float | Exception] = []
    for one, made in zip(choosers, found, strict=True):
        if isinstance(made, Exception):
            said.append(made)
            continue
        one.last, one.count = made[0], one.count + 1
        said.append(min(0.0, made[1]))
    return said


def _tried(model: Talker, logits: Tensor, one: Chooser) -> tuple[int, float] | Exception:
    try:
        return _one(model, logits, one)
    except Exception as problem:
        return problem


def _one(model: Talker, logits: Tensor, one: Chooser) -> tuple[int, float]:
    may = allowed(model, logits.double().log_softmax(dim=1), one.count)[0]
    if one.manner.temperature <= 0:
        token = int(may.argmax())
        return token, float(may[token])
    # The likeliest is at 0, where the smallest temperature that there is leaves it.
    drawn = nucleus(((may - may.max()) / one.manner.temperature).softmax(dim=0), one.manner.top_p)
    token = int(torch.multinomial(drawn, 1, generator=one.chance))
    return token, float(drawn[token].log())


def allowed(model: Talker, log_prob: Tensor, step: int) -> Tensor:
    """The same without special tokens that are not said; no reply begins blank, or with its end."""
    log_prob[:, [*model.marks, *(() if step else model.ends)]] = -torch.inf
    if not step:
        near = log_prob.topk(min(RIVALS, log_prob.shape[1]), dim=1).indices.flatten().tolist()
        log_prob[:, [token for token in {*near} if not model.text([token]).strip()]] = -torch.inf
    return log_prob


def nucleus(chances: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together have ``top_p``, at least one, as chances of their own.

    >>> nucleus(torch.tensor([0.5, 0.25, 0.25]), 0.7).round(decimals=2)
    tensor([0.6700, 0.3300, 0.0000])
    """
    if top_p >= 1.0:
        return chances
    ordered, order = chances.sort(descending=True, stable=True)
    beyond = ordered.cumsum(0) - ordered >= top_p
    beyond[0] = False
    left = torch.zeros_like(chances)
    left[order[~beyond]] = ordered[~beyond]
    return left / left.sum()
