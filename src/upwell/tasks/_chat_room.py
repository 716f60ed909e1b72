"""Learning within a fixed room: of long conversations, layers read anew what they did not keep.

To learn, each layer keeps what it made of every token: some 1.3 MB a token in a model of 135
million weights, so that eight conversations of a thousand tokens would take 11 GB. Where a batch
would take more than there is room for, a layer keeps only what it was given, and makes the rest
anew on the way back (Chen et al. 2016, arXiv:1604.06174), and what was freed goes back to the
machine at once: the same numbers, for up to twice the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from upwell.memory import spare
from upwell.tasks import _chat_groups

ROOM = 2 * 2**30
"""Bytes for what layers keep of a batch, on a CPU; on a GPU it is half of what is free."""
WIDE, INNER = 8, 4
"""Vectors of a layer's width, and of the width inside it, that it keeps of a token (Llama's)."""
BETWEEN = 3
"""Numbers that each head keeps of two tokens, where attention is not made piece by piece."""
_DROPPED = ("attention_dropout", "attn_pdrop")


def within(body: Any, lines: int, width: int) -> AbstractContextManager[None]:
    """While the block reads so many lines to learn from, layers keep no more than has room."""
    if not torch.is_grad_enabled() or kept(body, lines, width) <= _room(body):
        return nullcontext()
    return _anew(body)


def kept(body: Any, lines: int, width: int) -> float:
    """Bytes that the layers of a body keep of ``lines`` of ``width`` tokens, about."""
    told = body.config.get_text_config()
    wide, inside = getattr(told, "hidden_size", None), getattr(told, "intermediate_size", None)
    if not wide:
        return math.inf
    inside = max(inside) if isinstance(inside, list) else inside or 4 * wide
    each = WIDE * wide + INNER * inside
    if told._attn_implementation == "eager" or any(getattr(told, one, 0) for one in _DROPPED):
        each += BETWEEN * width * told.num_attention_heads
    return float(lines * width * len(_layers(body)) * each * next(body.parameters()).element_size())


def _room(body: Any) -> float:
    device = next(body.parameters()).device
    if device.type != "cuda":
        return ROOM
    # What torch holds for its next tensors is as free as what nobody holds.
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (torch.cuda.mem_get_info(device)[0] + held) / 2


@contextmanager
def _anew(body: Any) -> Iterator[None]:
    spare()
    layers = _layers(body)
    for layer in layers:
        layer.forward = partial(checkpoint, _as_now(layer.forward), use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _as_now(read: Callable[..., Any]) -> Callable[..., Any]:
    """``read``, also later with the groups' adapters of now."""
    scales = _chat_groups.spoken()

    def again(*told: Any, **named: Any) -> Any:
        with _chat_groups.speaking(scales):
            return read(*told, **named)

    return again


def _layers(body: Any) -> list[Any]:
    return [part for part in body.modules() if isinstance(part, GradientCheckpointingLayer)]
