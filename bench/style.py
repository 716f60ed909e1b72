"""How a headline is written, in numbers: length, marks, numerals, capitals, kinds of words."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

KINDS = (
    "i i'm my me i've", "you your you're yourself", "he his him he's", "she her she's",
    "they their them they're", "we our us we're", "this these that those here here's",
    "what why how who when where", "it it's its",
    "not don't can't isn't won't never no didn't doesn't", "watch see look meet video photo",
    "a an the", "and but or so if because then",
)  # fmt: skip
"""Words that say who speaks to whom, point, ask, deny, invite or join."""
MARKS = (".", ",", "-", "'")
ONCE = ("?", "!", "*", ":", "(")
LONGER = ("...", "…"), ('"', "“")


def style(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """(n, d) numbers of each text, to be standardised by whoever learns from them."""
    return np.array([_numbers(text) for text in texts], np.float32)


def _numbers(text: str) -> list[float]:
    words = re.findall(r"[\w']+", text)
    lowered = [word.lower() for word in words]
    count = max(len(words), 1)
    return [
        np.log(len(text) + 1), len(text), len(words), sum(map(len, words)) / count,
        *(text.count(mark) for mark in MARKS),
        *(mark in text for mark in ONCE),
        *(sum(text.count(mark) for mark in marks) for marks in LONGER),
        any(character.isdigit() for character in text), sum(map(str.isdigit, text)),
        sum(word.isupper() and len(word) > 1 for word in words),
        sum(word[0].isupper() for word in words) / count,
        text.endswith("."), text.endswith("?"), text[:1].isdigit(),
        *(sum(word in kind.split() for word in lowered) for kind in KINDS),
    ]  # fmt: skip
