"""Stretches of time in which a user rated, days (UTC) and sittings, and where a moment falls.

People rate differently from day to day, and within a sitting they rate what one list showed them
(Koren 2009: effects of a user's day are the largest of all temporal effects).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

DAY, PAUSE = 86_400, 300
"""Seconds of a day, and of the longest pause within a sitting."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """(m,) stretches in order of user and time, ``first`` to ``last`` in seconds, both included."""

    user: Ints
    first: Ints
    last: Ints
    pause: int

    @classmethod
    def of(cls, user: Ints, second: Ints, pause: int) -> Self:
        """Sittings with pauses up to ``pause`` seconds; 0 stands for whole days.

        >>> found = Stretches.of(np.array([7, 7, 7]), np.array([10, 250, 900]), 300)
        >>> found.first.tolist(), found.last.tolist()
        ([10, 900], [250, 900])
        """
        when = second if pause else second // DAY * DAY
        order = np.lexsort((when, user))
        who, when = user[order], when[order]
        begins = np.ones(len(who), bool)
        begins[1:] = (who[1:] != who[:-1]) | (np.diff(when) > pause)
        ends = np.append(begins[1:], True)[: len(who)]
        last = when[ends] if pause else when[ends] + DAY - 1
        return cls(who[begins], when[begins], last, pause)

    def find(self, user: Ints, second: Ints) -> Ints:
        """(n,) the stretch that each moment of a user falls in or joins on to; m where in none.

        >>> found = Stretches.of(np.array([7, 7, 7]), np.array([10, 250, 900]), 300)
        >>> found.find(np.array([7, 7, 8]), np.array([500, 2000, 10])).tolist()
        [0, 2, 2]
        """
        if not len(self.user):
            return np.zeros(len(user), np.int64)
        # Both as one number, so that one search does: 2^34 seconds reach to the year 2514.
        start = (self.user << 34) + self.first
        place = np.searchsorted(start, (user << 34) + second + self.pause, side="right") - 1
        near = np.maximum(place, 0)
        inside = (place >= 0) & (self.user[near] == user) & (second <= self.last[near] + self.pause)
        return np.where(inside, near, len(self.user)).astype(np.int64)
