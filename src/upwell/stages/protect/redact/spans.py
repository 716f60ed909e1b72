"""Finds put right: without marks and greetings at their ends, and a name in one piece."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from upwell.stages.protect.redact.text import Found, listed

_WORD = re.compile(r"\w(?:\S*[\w])?")
_OUTSIDE = listed("sentence_starts") | listed("terms")
"""What stands before a name, and what is none though it is written in capitals."""
_BETWEEN = re.compile(r" (?:[A-Z]\.? )?")
"""What may stand between two parts of a name."""


def trimmed(folded: str, said: Iterable[tuple[int, int, str]]) -> Iterator[Found]:
    """A model's finds from word to word, without greetings before and a genitive's s behind.

    >>> list(trimmed("Hi Ann Leeds's", [(0, 9, "name")]))
    [Found(start=3, end=12, kind='name')]
    """
    for start, end, kind in said:
        whole = _whole(folded, start, end)
        words = [one.span() for one in _WORD.finditer(folded, *whole)]
        while words and folded[slice(*words[0])] in _OUTSIDE:
            words.pop(0)
        if words:
            last = folded[slice(*words[-1])]
            yield Found(words[0][0], words[-1][1] - 2 * last.endswith(("'s", "’s")), kind)


def _whole(folded: str, start: int, end: int) -> tuple[int, int]:
    """A place with the rest of the words that it begins and ends in."""
    while start > 0 and _goes_on(folded, start):
        start -= 1
    while _goes_on(folded, end):
        end += 1
    return start, end


def _goes_on(folded: str, place: int) -> bool:
    """Whether a place lies within a word of an alphabet."""
    pair = folded[place - 1 : place + 1]
    return len(pair) == 2 and pair.isalpha() and max(pair) < "\u2e80"


def joined(folded: str, found: Sequence[Found]) -> list[Found]:
    """Finds in order of place, the parts of a name and an initial between them as one.

    >>> joined("Ann B. Lee", [Found(0, 3, "name"), Found(7, 10, "name")])
    [Found(start=0, end=10, kind='name')]
    """
    made: list[Found] = []
    for one in found:
        last = made[-1] if made else one
        parts = last.kind == one.kind == "name" and last is not one
        if parts and _BETWEEN.fullmatch(folded, last.end, one.start):
            made[-1] = Found(last.start, one.end, "name")
        else:
            made.append(one)
    return made
