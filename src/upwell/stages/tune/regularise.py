"""What makes learning harder so that it learns more: mixed features, worst-case embeddings.

Both are hooks on a part of the model, found by convention; no task needs to know of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from upwell.errors import StageError
from upwell.ports import Model
from upwell.settings import TuneSettings
from upwell.stages.tune.shown import inside, log1mexp
from upwell.stages.tune.vocabulary import input_embeddings

POOLED = "pooled"
"""Name of the sub-module, an ``nn.Identity``, through which features flow, one row an input."""


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """(n,) ½KL(p‖q) + ½KL(q‖p) ≥ 0 of the event 'the target', from two log-probabilities.

    R-Drop (Liang et al. 2021, arXiv:2106.14448) on what ``log_prob`` tells: the target and not
    the target. It is at most the divergence between the whole answers. ½(p − q)(logit p − logit q).

    >>> disagreement(torch.tensor([0.5, 0.2]).log(), torch.tensor([0.2, 0.2]).log())
    tensor([0.2079, 0.0000])
    """
    one, other = inside(one), inside(other)
    logits = (one - log1mexp(one)) - (other - log1mexp(other))
    return (one.exp() - other.exp()) * logits / 2


class Mixup:
    """Mixes the features of each row with those of another, while the model trains.

    Features become s·h_i + (1 − s)·h_j, j a random permutation, and the row keeps its own target
    with s from Beta(α+1, α). In expectation that is mixup (Zhang et al. 2017, arXiv:1710.09412; on
    features: Verma et al. 2018, arXiv:1806.05236), s·ℓ(target_i) + (1 − s)·ℓ(target_j) with s from
    Beta(α, α): there, (i, j, s) and (j, i, 1 − s) are equally likely, so that the loss's mean is
    that of 2s·ℓ(target_i), and 2s turns the density of Beta(α, α) into that of Beta(α+1, α). It
    holds for every loss of single rows, signed feedback included, and asks for no second target.
    """

    def __init__(self, pooled: nn.Module, alpha: float) -> None:
        self.shares = torch.distributions.Beta(alpha + 1, alpha)
        self.hook = pooled.register_forward_hook(self._mixed)

    def _mixed(self, module: nn.Module, inputs: tuple[Tensor, ...], features: Tensor) -> Tensor:
        if not module.training or not torch.is_grad_enabled():
            return features
        n = len(features)
        share = self.shares.sample((n, *[1] * (features.ndim - 1))).to(features)
        return features.lerp(features[torch.randperm(n, device=features.device)], 1 - share)


class Adversary:
    """A step of length ε on each row's embeddings, in the direction its loss rises fastest.

    The fast gradient method (Miyato et al. 2017, arXiv:1605.07725): e + ε·g/‖g‖, g the gradient of
    the loss on the row's embeddings e as they were passed on.
    """

    def __init__(self, embeddings: nn.Module, length: float) -> None:
        self.length = length
        self.watching = False
        self.seen: list[Tensor] = []
        self.steps: list[Tensor] = []
        self.hook = embeddings.register_forward_hook(self._moved)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Remember the embeddings passed on while the block runs, to find a step by."""
        self.seen, self.watching = [], True
        try:
            yield
        finally:
            self.watching = False

    @contextmanager
    def attack(self) -> Iterator[None]:
        """Add the steps that follow from the gradients of what was watched, for one more pass."""
        slopes = [e.grad if e.grad is not None else torch.zeros_like(e) for e in self.seen]
        norms = [g.flatten(1).norm(dim=1).view(-1, *[1] * (g.ndim - 1)) for g in slopes]
        self.seen = []
        self.steps = [
            self.length * g / norm.clamp(min=1e-12)
            for g, norm in zip(slopes, norms, strict=True)
        ]  # fmt: skip
        try:
            yield
        finally:
            self.steps = []

    def _moved(self, module: nn.Module, inputs: tuple[Tensor, ...], vectors: Tensor) -> Tensor:
        if self.steps:
            return vectors + self.steps.pop(0)
        if self.watching:
            vectors = vectors if vectors.requires_grad else vectors.detach().requires_grad_()
            vectors.retain_grad()
            self.seen.append(vectors)
        return vectors


class Regularisers:
    """Those that the settings ask for.

    Raises StageError ``tune.nothing_pooled`` or ``tune.no_embeddings`` where the model has not
    what they need.
    """

    def __init__(self, model: Model, settings: TuneSettings) -> None:
        named = (part for name, part in model.named_modules() if name.split(".")[-1] == POOLED)
        pooled, embeddings = next(named, None), input_embeddings(model)
        if settings.mixup and pooled is None:
            raise StageError("tune.nothing_pooled", part=POOLED)
        if settings.adversarial and embeddings is None:
            raise StageError("tune.no_embeddings")
        self.mixup = Mixup(pooled, settings.mixup) if settings.mixup and pooled else None
        self.adversary = (
            Adversary(embeddings, settings.adversarial)
            if settings.adversarial and embeddings
            else None
        )

    def remove(self) -> None:
        """Leave the model as it was."""
        for part in (self.mixup, self.adversary):
            if part is not None:
                part.hook.remove()
