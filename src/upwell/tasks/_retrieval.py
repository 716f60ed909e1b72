"""Finding good items without looking at all: an index over the item tower, beyond a size.

Up to ``INDEXED`` items a product with every vector is exact and takes milliseconds. Beyond, a
graph index (HNSW by usearch) names the candidates, and only those are scored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from upwell.errors import PluginError

INDEXED = 100_000
POOL = 1_000
"""Candidates for one answer, from the index and from the neighbours each."""


class Index:
    """The items with the greatest ``asked · vector + popularity``, found approximately."""

    def __init__(self, vectors: Tensor, popularity: Tensor) -> None:
        """``vectors`` (items, d), ``popularity`` (items,). Raises PluginError ``task.no_index``."""
        try:
            from usearch.index import BatchMatches
            from usearch.index import Index as Graph
        except ImportError:
            raise PluginError("task.no_index", items=len(vectors), limit=INDEXED) from None
        whole = torch.cat([vectors, popularity[:, None]], dim=1).detach().float().numpy()
        self._many = BatchMatches
        self._graph = Graph(ndim=whole.shape[1], metric="ip", dtype="f32")
        self._graph.add(np.arange(len(whole), dtype=np.uint64), whole)

    def nearest(self, asked: Tensor, count: int) -> Tensor:
        """(n, count) item numbers for ``asked`` (n, d), best first.

        Where fewer are found, the number of items stands for none.
        """
        ones = asked.new_ones(len(asked), 1)
        questions = torch.cat([asked, ones], dim=1).detach().float().numpy()
        found = self._graph.search(questions, min(count, len(self._graph)))
        keys = np.atleast_2d(found.keys).astype(np.int64)
        sizes = np.asarray(
            found.counts if isinstance(found, self._many) else [keys.shape[1]], dtype=np.int64
        )
        keys[np.arange(keys.shape[1]) >= sizes[:, None]] = len(self._graph)
        return torch.from_numpy(keys)


def without_repeats(first: Tensor, second: Tensor, filler: int) -> Tensor:
    """(n, a + b): both sets of numbers; what ``second`` (n, b) repeats of ``first`` is ``filler``.

    >>> without_repeats(torch.tensor([[1, 2]]), torch.tensor([[2, 3]]), 9).tolist()
    [[1, 2, 9, 3]]
    """
    repeated = (second[:, :, None] == first[:, None, :]).any(dim=2)
    return torch.cat([first, second.masked_fill(repeated, filler)], dim=1)
