"""Texts that are read together: which share a batch, and how to read them without filling up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

AT_ONCE, ANOTHER = 64, 32
"""Texts in a batch; tokens that another batch costs as much as."""
PACKED = 512
"""Tokens that are read as one row: pairs of tokens of different texts cost something too."""
_PACKS = frozenset({"bert"})
"""Kinds of model whose places are given to them and start at 0."""


def batches(body: Any, lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of the texts of each batch: a few of any lengths, or many of like lengths.

    >>> from types import SimpleNamespace as Named
    >>> body = Named(config=Named(model_type="bert"))
    >>> list(batches(body, [3, 90, 5])), list(batches(body, [3, 600, 5]))
    ([[0, 1, 2]], [[0, 2], [1]])
    """
    if _can_pack(body) and sum(lengths) <= PACKED and len(lengths):
        yield list(range(len(lengths)))
        return
    order = np.argsort(np.asarray(lengths), kind="stable")
    yield from _alike(order, lengths)


def states(body: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """(n, t, width) last hidden states of ids (n, t) with mask (n, t), 1 where a token is.

    Texts of different lengths are read as one row in which each sees itself alone, where the
    body can: what is filled up costs as much as what is there. The last digits differ.
    """
    there = mask.bool()
    count = int(there.sum())
    if not _can_pack(body) or count > PACKED or count == mask.numel():
        found: Tensor = body(input_ids=ids, attention_mask=mask).last_hidden_state
        return found
    of = torch.arange(len(ids), device=ids.device)[:, None].expand_as(ids)[there]
    place = (mask.cumsum(1) - 1)[there]
    read = body(
        input_ids=ids[there][None], position_ids=place[None],
        attention_mask=(of[:, None] == of[None, :])[None, None],
    ).last_hidden_state[0]  # fmt: skip
    found = read.new_zeros((*ids.shape, read.shape[-1]))
    found[there] = read
    return found


def _can_pack(body: Any) -> bool:
    return body.config.model_type in _PACKS


def _alike(order: npt.NDArray[np.int64], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of texts that share a batch: like lengths, for what is filled up is read too."""
    batch: list[int] = []
    for place in order.tolist():
        longer = lengths[place] - lengths[batch[-1]] if batch else 0
        if len(batch) == AT_ONCE or longer * len(batch) > ANOTHER:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
