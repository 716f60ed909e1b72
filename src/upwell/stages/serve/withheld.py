"""Items that must not be shown are left out of answers, whichever task gives them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.ports import Model
from upwell.stages.serve.engine import Answering

MORE = 4
"""How many times as many items are asked for where too few are left."""
_COLUMNS = ("output", "score", "reason")


class Withholding:
    """A task whose answers are the ``k`` best of those items that are not withheld.

    ``withheld`` tells which of some items are. Where they leave too few, ``task`` is asked for
    more, until there are enough or it has no more. Any number of threads may ask.
    """

    def __init__(
        self, task: Answering, withheld: Callable[[Sequence[str]], Collection[str]]
    ) -> None:
        self._task, self._withheld = task, withheld
        self._times = 1
        """Of ``k``, how many items were needed last: where many are withheld, once is enough."""

    def load(self, folder: Path) -> Model:
        """The model that the task reads."""
        return self._task.load(folder)

    def answer(self, model: Model, inputs: pa.Table, k: int) -> pa.Table:
        """See ``Task.answer``; scores are those among all items."""
        times = self._times
        while True:
            found = self._task.answer(model, inputs, k * times)
            items = found["output"].combine_chunks().flatten()
            out = self._withheld(items.unique().to_pylist())
            if times == 1 and not out:
                return found
            lengths = np.asarray(pc.list_value_length(found["output"]), dtype=np.int64)
            kept = ~np.asarray(pc.is_in(items, pa.array(sorted(out), pa.string())), dtype=np.bool_)
            chosen, sizes = _first(kept, lengths, k)
            if not ((sizes < k) & (lengths == k * times)).any():
                self._times = times if out else 1
                return pa.table({name: _taken(found[name], chosen, sizes) for name in _COLUMNS})
            times *= MORE


def _first(
    kept: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64], k: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the first ``k`` kept values of every list lie among all values, and how many they are.

    >>> _first(np.array([True, False, True, True, True]), np.array([3, 2]), 1)
    (array([0, 3]), array([1, 1]))
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    so_far = np.cumsum(kept)
    before = np.concatenate([[0], so_far])[np.cumsum(lengths) - lengths]
    chosen = np.flatnonzero(kept & (so_far - before[rows] <= k))
    return chosen, np.bincount(rows[chosen], minlength=len(lengths))


def _taken(
    column: pa.ChunkedArray, chosen: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> pa.ListArray:
    """Lists of ``sizes`` made of the values at ``chosen``."""
    values = column.combine_chunks().flatten().take(pa.array(chosen, pa.int64()))
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), values)
