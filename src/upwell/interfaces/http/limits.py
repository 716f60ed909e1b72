"""How often: a bucket of tokens for each key and each user, refilled all the time."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from upwell.interfaces.http.errors import RequestError

BURST_SECONDS = 10.0
REMEMBERED = 50_000
"""Buckets held; one that was not used for longest is forgotten, which only makes it full."""


@dataclass(slots=True)
class Buckets:
    """Buckets of ``rate`` tokens a second, each up to ten seconds' worth.

    Whoever finds anything left may take more than is there and waits the longer for it: a batch
    larger than a bucket passes too.
    """

    rate: float
    clock: Callable[[], float] = monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def check(self, name: str) -> None:
        """Raises RequestError ``http.too_often`` (429, with Retry-After) while nothing is left."""
        left = self._now(name)[0]
        if left <= 0.0:
            seconds = max(1, math.ceil((1.0 - left) / self.rate))
            raise RequestError(
                "http.too_often", 429, {"Retry-After": str(seconds)}, seconds=seconds
            )

    def take(self, name: str, tokens: int) -> None:
        """Take tokens. Raises as ``check`` does, and then takes none."""
        self.check(name)
        left, now = self._now(name)
        self._left[name] = (left - tokens, now)
        self._left.move_to_end(name)
        while len(self._left) > REMEMBERED:
            self._left.popitem(last=False)

    def _now(self, name: str) -> tuple[float, float]:
        now, full = self.clock(), self.rate * BURST_SECONDS
        left, before = self._left.get(name, (full, now))
        return min(full, left + (now - before) * self.rate), now
