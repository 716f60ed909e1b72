"""Values kept ready by name, the least used dropped first, safe among threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Ready(Generic[Value]):
    """Values that together weigh at most ``most``.

    Whoever makes a value from what is stored notes the ``era`` before reading: what was read
    before the last ``drop`` may be out of date, and ``put`` does not keep it.

    >>> kept = Ready[str](2, weigh=len)
    >>> for name in ("a", "b", "ab"):
    ...     kept.put(name, name, kept.era)
    >>> kept.get("a"), kept.get("ab")
    (None, 'ab')
    """

    def __init__(self, most: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        self._most, self._weigh = most, weigh
        self._values: OrderedDict[str, Value] = OrderedDict()
        self._weight = 0
        self._lock = Lock()
        self.era = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> Value | None:
        """The value under a name, which counts as used."""
        with self._lock:
            found = self._values.get(name)
            if found is not None:
                self._values.move_to_end(name)
            return found

    def put(self, name: str, value: Value, era: int) -> None:
        """Keep a value that was made of what was read in ``era``."""
        with self._lock:
            if era != self.era:
                return
            self._remove(name)
            self._values[name] = value
            self._weight += self._weigh(value)
            while self._weight > self._most:
                self._remove(next(iter(self._values)))

    def drop(self, names: Iterable[str]) -> None:
        """Keep these no longer, nor what is being made of what was read before."""
        with self._lock:
            self.era += 1
            for name in names:
                self._remove(name)

    def drop_where(self, is_old: Callable[[Value], bool]) -> None:
        """Likewise, each value of which that is true."""
        with self._lock:
            self.era += 1
            for name in [name for name, value in self._values.items() if is_old(value)]:
                self._remove(name)

    def _remove(self, name: str) -> None:
        value = self._values.pop(name, None)
        if value is not None:
            self._weight -= self._weigh(value)
