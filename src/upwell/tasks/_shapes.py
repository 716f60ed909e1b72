"""What an uncased encoder does not see of a word: its case, its digits, its characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SHAPES = 10
"""Shapes of words; 0 is no word."""
CODES = 256
LONGEST, TAIL = 20, 6
"""Characters of a word that are read, the last of them from its end."""


def shape(word: str) -> int:
    """How a word is written, from 1: digits, with digits, signs, lower, UPPER, U, Title, ….

    >>> [shape(word) for word in ("1996", "7pm", "--", "lamb", "EU", "U", "Peter", "McCoy", "iPod")]
    [1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    tests = (
        word.isdigit(),
        any(one.isdigit() for one in word),
        not any(one.isalpha() for one in word),
        word == word.lower(),
        word == word.upper() and len(word) > 1,
        word == word.upper(),
        word[:1].isupper() and word[1:] == word[1:].lower(),
        word[:1].isupper(),
    )
    return tests.index(True) + 1 if True in tests else SHAPES - 1


def characters(words: list[str]) -> Ints:
    """(n, c) codes from 1 of each word's characters, 0 where there are none; c ≥ 3.

    >>> characters(["ab", ""]).tolist()
    [[98, 99, 0], [0, 0, 0]]
    """
    kept = [_ends(word) for word in words]
    found = np.zeros((len(words), max([3, *map(len, kept)])), np.int64)
    for place, word in enumerate(kept):
        found[place, : len(word)] = [ord(one) % (CODES - 1) + 1 for one in word]
    return found


def _ends(word: str) -> str:
    return word if len(word) <= LONGEST else word[: LONGEST - TAIL] + word[-TAIL:]
