"""Chance with a seed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draw:
    """The same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def random(self) -> float:
        """From 0 up to 1."""
        return float(self._rng.random())

    def randint(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self._rng.integers(low, high, endpoint=True))

    def choice(self, among: Sequence[T]) -> T:
        """One of these."""
        return among[int(self._rng.random() * len(among))]

    def choices(self, among: Sequence[T], size: int) -> list[T]:
        """Several of these, with repetition."""
        return [self.choice(among) for _ in range(size)]

    def weighed(self, among: Sequence[T], weights: Sequence[float]) -> T:
        """One of these, as often as its weight says."""
        sums = list(accumulate(weights))
        return among[int(np.searchsorted(sums, self._rng.random() * sums[-1], side="right"))]
