"""Texts as detectors read them, what a detector finds, and what is kept of it.

Folding changes characters one by one and never their number: a place in the folded text is the
same place in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

KINDS = (
    "secret", "email", "resident_id", "iban", "card", "company_id", "permit", "passport",
    "ssn", "licence", "plate", "ip", "chat", "phone", "account", "address", "name",
    "link", "date", "age", "group", "title", "organisation", "place",
)  # fmt: skip
"""Types of personal data. Where finds overlap, the type that stands earlier wins."""
SEEN = ""
"""What is a surrogate already: it takes its place from kinds that no check digit tells."""
RANK = {kind: 2 * rank for rank, kind in enumerate(KINDS)}
RANK[SEEN] = RANK["address"] - 1
HANZI = "\u4e00-\u9fff"


class Found(NamedTuple):
    """Personal data of a kind, in characters of the text, the end excluded."""

    start: int
    end: int
    kind: str


_NUMERALS = {"〇": "0", "零": "0", "○": "0", "幺": "1", "两": "2"} | {
    one: str(n) for n, one in enumerate("一二三四五六七八九", 1)
} | {one: str(n) for n, one in enumerate("壹贰叁肆伍陆柒捌玖", 1)}  # fmt: skip
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_ALIKE = dict.fromkeys(map(ord, "‐‑‒–—−﹣"), "-") | dict.fromkeys(
    map(ord, "\u00a0\u3000\u2009\u202f"), " "
)
_FOLD = _WIDE | _ALIKE
_SPOKEN = re.compile(
    rf"[{''.join(_NUMERALS)}][{''.join(_NUMERALS)} \-]{{3,38}}[{''.join(_NUMERALS)}xX]"
)
_DIGITS = str.maketrans(_NUMERALS)


def fold(text: str) -> str:
    """Full-width letters, digits and punctuation, dashes and spaces as ASCII; same length.

    >>> fold("電話：１３８–0013")
    '電話:138-0013'
    """
    return text if text.isascii() else text.translate(_FOLD)


def spoken(folded: str) -> str | None:
    """The text with runs of Chinese numerals as digits, same length; None without such a run.

    >>> spoken("电话一三八零零一三八零零零")
    '电话13800138000'
    """
    if folded.isascii() or not _SPOKEN.search(folded):
        return None
    return _SPOKEN.sub(lambda run: run.group().translate(_DIGITS), folded)


def apart(found: Iterable[Found]) -> list[Found]:
    """Finds in order of place, none overlapping another: earlier kinds first, then longer finds.

    Of an address that another find lies in, the longest part that is left stays.

    >>> apart([Found(0, 4, "name"), Found(2, 9, "email"), Found(9, 12, "name")])
    [Found(start=2, end=9, kind='email'), Found(start=9, end=12, kind='name')]
    >>> apart([Found(0, 30, "address"), Found(2, 9, "phone")])
    [Found(start=2, end=9, kind='phone'), Found(start=9, end=30, kind='address')]
    """
    taken: list[Found] = []
    for one in sorted(found, key=lambda f: (RANK[f.kind], f.start - f.end, f.start)):
        first = bisect_left(taken, one.start, key=_start)
        first -= bool(first and taken[first - 1].end > one.start)
        last = bisect_left(taken, one.end, key=_start)
        if first == last:
            taken.insert(first, one)
        elif one.kind == "address" and all(other.kind for other in taken[first:last]):
            start, end = _longest(one, taken[first:last])
            if start < end:
                taken.append(Found(start, end, one.kind))
                taken.sort()
    return taken


def _longest(one: Found, inside: Sequence[Found]) -> tuple[int, int]:
    """The longest part of a find that none of those which overlap it, in order of place, has."""
    starts = [one.start, *(other.end for other in inside)]
    ends = [*(other.start for other in inside), one.end]
    return max(zip(starts, ends, strict=True), key=lambda part: part[1] - part[0])


def _start(one: Found) -> int:
    return one.start


def near(folded: str, start: int, end: int, before: int = 40, after: int = 16) -> str:
    """What stands around a place, in lower case."""
    left = folded[max(0, start - before) : start]
    return f"{left} \x00 {folded[end : end + after]}".lower()


@cache
def listed(name: str) -> frozenset[str]:
    """The words of a list that lies beside the detectors."""
    path = Path(__file__).parent / "lists" / f"{name}.txt"
    return frozenset(path.read_text(encoding="utf-8").split())


def joined(name: str) -> str:
    """The characters of a list, for a class of a pattern."""
    return "".join(sorted(listed(name)))
