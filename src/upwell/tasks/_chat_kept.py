"""What replies that are made together remember: one cache for all of them, filled from the left."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from upwell.tasks._chat_model import Talker

_GROW = 64


def forward(
    model: Talker, ids: Tensor, cache: DynamicCache, mask: Tensor | None, place: Tensor
) -> Tensor:
    """(n, V) logits of the tokens after ``ids`` (n, t), which follow what ``cache`` remembers."""
    known = signature(type(model.body).forward).parameters
    # The argument's name depends on the version of transformers.
    name = "cache" if "cache" in known else "past_key_values"
    out = model.body(
        input_ids=ids, attention_mask=mask, position_ids=place, use_cache=True, logits_to_keep=1,
        **{name: cache},
    )  # fmt: skip
    found: Tensor = out.logits[:, -1]
    return found


class Layer:
    """What a layer remembers, in a place with room for the next tokens: no copy at every step."""

    is_initialized = True

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        self.hold(keys, values)

    def hold(self, keys: Tensor, values: Tensor) -> None:
        """Remember these and nothing else."""
        self.keys, self.values, self._room = keys, values, 0
        self._held: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Add the tokens' and give all."""
        size, new = self.keys.shape[2], key_states.shape[2]
        if size + new > self._room:
            self._room = size + new + _GROW
            self._held = [
                torch.cat([part, part.new_empty((*part.shape[:2], new + _GROW, part.shape[3]))], 2)
                for part in (self.keys, self.values)
            ]
        for held, states in zip(self._held, (key_states, value_states), strict=True):
            held[:, :, size : size + new] = states
        self.keys, self.values = (held[:, :, : size + new] for held in self._held)
        return self.keys, self.values


# transformers asks for its own class, which has no types to inherit from.
_GROWING = cast("type[Layer]", type("Growing", (Layer, DynamicLayer), {}))


class Memory:
    """The ``cache`` of n replies; ``mask`` (n, T) says where each has read something.

    ``shares`` is whether others can join: where the body keeps more, or less, than keys and values
    of all it has read, a reply stays alone.
    """

    def __init__(self, cache: DynamicCache, size: int) -> None:
        self.cache = cache
        self.mask = torch.ones((1, size), dtype=torch.long)
        plain = [layer for layer in cache.layers if type(layer) is DynamicLayer]
        held = [(layer.keys, layer.values) for layer in plain if layer.get_seq_length() == size]
        self._layers = [
            _GROWING(keys, values)
            for keys, values in held
            if keys is not None and values is not None
        ]
        self.shares = len(self._layers) == len(cache.layers)
        if self.shares:
            cache.layers = cast("Any", self._layers)

    @property
    def bytes(self) -> int:
        """What one token of one reply takes, 0 where that is not known."""
        return sum(2 * one.keys[0, :, 0].numel() * one.keys.element_size() for one in self._layers)

    def next(self, model: Talker, tokens: Sequence[int]) -> Tensor:
        """(n, V) logits of what comes after these ``tokens``, one to each reply."""
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(tokens), 1))], dim=1)
        ids = torch.tensor([[token] for token in tokens], device=model.device)
        place = (self.mask.sum(dim=1, keepdim=True) - 1).to(model.device)
        mask = None if bool(self.mask.all()) else self.mask.to(model.device)
        return forward(model, ids, self.cache, mask, place)

    def join(self, other: Memory) -> None:
        """Put the other's replies after those that are there; where that fails, nothing changed."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        both = [
            (
                torch.cat([_wide(layer.keys, width), _wide(its.keys, width)]),
                torch.cat([_wide(layer.values, width), _wide(its.values, width)]),
            )
            for layer, its in zip(self._layers, other._layers, strict=True)
        ]
        sides = [pad(one.mask, (width - one.mask.shape[1], 0)) for one in (self, other)]
        self._hold(torch.cat(sides), both)

    def keep(self, rows: list[int]) -> None:
        """Forget all but these replies, and the columns that none of them fills.

        Where that fails, nothing changed.
        """
        mask = self.mask[rows]
        first = int(mask.any(dim=0).int().argmax())
        left = [
            (layer.keys[rows, :, first:], layer.values[rows, :, first:]) for layer in self._layers
        ]
        self._hold(mask[:, first:], left)

    def _hold(self, mask: Tensor, parts: Sequence[tuple[Tensor, Tensor]]) -> None:
        self.mask = mask
        for layer, (keys, values) in zip(self._layers, parts, strict=True):
            layer.hold(keys, values)


def _wide(part: Tensor, width: int) -> Tensor:
    return pad(part, (0, 0, width - part.shape[2], 0))
