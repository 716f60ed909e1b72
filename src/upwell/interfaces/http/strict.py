"""JSON as RFC 8259 means it: no NaN, no number beyond a double, no name twice.

What must not be is left in place as a ``Flaw``, so that one bad event of a batch is found where
it stands and its neighbours are taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, NoReturn

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)
_LONGEST_INT = 400
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that a JSON text must not hold: an error's code, what is shown of it, its place."""

    code: str
    value: str
    field: str = ""

    def __str__(self) -> str:
        return self.value


_LOOKED_INTO = frozenset((dict, list, Flaw))


@dataclass(slots=True)
class Reader:
    """Reads JSON texts; objects have at most ``names`` names.

    >>> Reader(255).read('[1e999, {"a": 1, "a": 2}]')
    [Flaw(code='http.not_finite', value='1e999', field=''), \
Flaw(code='http.twice', value='a', field='')]
    """

    names: int
    _decoder: json.JSONDecoder = field(init=False)

    def __post_init__(self) -> None:
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=_not_finite,
            parse_float=_float,
            parse_int=_int,
        )

    def read(self, text: str) -> Any:
        """The value of a text. Raises ValueError where it is no JSON, RecursionError if deep."""
        return self._decoder.decode(text)

    def _object(self, pairs: list[tuple[str, Any]]) -> object:
        found = dict(pairs)
        if len(found) > self.names:
            return Flaw("http.too_many_names", str(len(found)))
        if len(found) == len(pairs):
            return found
        names = [name for name, _ in pairs]
        return Flaw("http.twice", next(name for name in names if names.count(name) > 1)[:_SHOWN])


def flaw_of(row: object, depth: int) -> Flaw | None:
    """The first flaw of a row, with the name under which it stands; None for a sound one.

    >>> flaw_of({"id": "1", "payload": {"x": [[]]}}, depth=3)
    Flaw(code='http.too_deep', value='3', field='payload')
    """
    waiting: list[tuple[object, int, str]] = [(row, 1, "")]
    while waiting:
        value, level, top = waiting.pop()
        if isinstance(value, Flaw):
            return Flaw(value.code, value.value, top)
        if isinstance(value, dict):
            inner = [(name, one) for name, one in value.items() if type(one) in _LOOKED_INTO]
        elif isinstance(value, list):
            inner = [(top, one) for one in value if type(one) in _LOOKED_INTO]
        else:
            continue
        if level > depth:
            return Flaw("http.too_deep", str(depth), top)
        waiting += [(one, level + 1, top or name) for name, one in inner]
    return None


def parts_of(text: str) -> list[str]:
    """The texts of the elements of a JSON list, which nesting too deep for a parser lets stand.

    Raises ValueError where the text is no list.

    >>> parts_of('[{"a": "]"}, [[1]], 2]')
    ['{"a": "]"}', '[[1]]', '2']
    """
    inner = text.strip()
    if not inner.startswith("["):
        _refuse()
    ends = list(_ends(inner))
    if not ends or ends[-1] != len(inner) - 1:
        _refuse()
    starts = [1, *(end + 1 for end in ends[:-1])]
    parts = [inner[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return [] if parts == [""] else parts


def _ends(text: str) -> Iterator[int]:
    """Where the elements of the outermost list end."""
    level = 0
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign in "[{":
            level += 1
        elif sign in "]}":
            level -= 1
        if (level == 1 and sign == ",") or (level == 0 and sign == "]"):
            yield match.start()


def _not_finite(text: str) -> Flaw:
    return Flaw("http.not_finite", text)


def _float(text: str) -> float | Flaw:
    value = float(text)
    return value if isfinite(value) else Flaw("http.not_finite", text[:_SHOWN])


def _int(text: str) -> int | Flaw:
    return int(text) if len(text) <= _LONGEST_INT else Flaw("http.not_finite", text[:_SHOWN])


def _refuse() -> NoReturn:
    raise ValueError("no JSON list")
