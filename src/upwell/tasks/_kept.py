"""What a process keeps so as not to make it twice: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

K = TypeVar("K", bound=Hashable)
N = TypeVar("N", bound=np.generic)

LIMIT = 1 << 28
"""Bytes of values and characters of keys that are kept at most."""


class Kept(Generic[K, N]):
    """Arrays by key, in memory alone: what people wrote is not left on a disk.

    >>> kept = Kept[str, np.float64]()
    >>> kept.of(["a", "b", "a"], lambda new: [np.full(1, len(new))] * len(new))[0].item()
    2
    >>> kept.of(["a"], lambda new: [])[0].item()
    2
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.size = 0
        self._found: OrderedDict[K, npt.NDArray[N]] = OrderedDict()
        self._lock = Lock()

    def __deepcopy__(self, memo: object) -> Self:
        return type(self)(self.limit)

    def of(
        self, keys: Sequence[K], make: Callable[[list[K]], Sequence[npt.NDArray[N]]]
    ) -> list[npt.NDArray[N]]:
        """The array of each key; ``make`` is asked once for all that are not kept yet."""
        with self._lock:
            known = {key: self._found[key] for key in keys if key in self._found}
            for key in known:
                self._found.move_to_end(key)
        new = [key for key in dict.fromkeys(keys) if key not in known]
        made = dict(zip(new, make(new), strict=True)) if new else {}
        with self._lock:
            for key, array in made.items():
                self.size += _cost(key, array) if key not in self._found else 0
                self._found[key] = array
            while self.size > self.limit and self._found:
                self.size -= _cost(*self._found.popitem(last=False))
        known |= made
        return [known[key] for key in keys]


def _cost(key: object, array: npt.NDArray[N]) -> int:
    return array.nbytes + len(str(key)) + 200
