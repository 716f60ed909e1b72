"""Spans in a text: its words, what a target says about them, and tags of words.

Places are characters of the text as Python counts them, from 0, the end excluded, so that they
mean the same to whoever shows the text, however it is cut into words.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from upwell.errors import PluginError
from upwell.tables import canonical_json

Span = tuple[int, int, str]
Place = tuple[int, int]
Ints = npt.NDArray[np.int64]

OUTSIDE = "O"
LONGEST = 4096
"""Words of a text that are read; what comes later is outside of every span."""

_CJK = "\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_FINEST = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")
_CHUNK = re.compile(r"\S+")
_HAS_CJK = re.compile(rf"[{_CJK}]")
_ATTACHED = re.compile(r"\w[,;:!?)](?=\s|$)|\w[./]\s*$")
_ALONE = re.compile(r"(?:^|(?<=\s))[.,;:!?()\"](?=\s|$)")


@dataclass(frozen=True, slots=True)
class Target:
    """What a target says: these spans, each with a weight, and how much all other words count.

    A span labelled '' says that nothing is there.
    """

    spans: tuple[Span, ...]
    weights: tuple[float, ...]
    rest: float = 1.0


def words(text: str) -> list[Place]:
    """Where each word stands, at most ``LONGEST`` of them.

    A text that comes tokenised (its punctuation stands alone) is cut at white space; any other
    one also around each punctuation mark and each Chinese or Japanese character.

    >>> [("U.N. chief , Annan"[a:b]) for a, b in words("U.N. chief , Annan")]
    ['U.N.', 'chief', ',', 'Annan']
    >>> [("Is it 7pm, Ann?"[a:b]) for a, b in words("Is it 7pm, Ann?")]
    ['Is', 'it', '7pm', ',', 'Ann', '?']
    >>> len(words("我在北京。"))
    5
    """
    pattern = _CHUNK if _comes_tokenised(text) else _FINEST
    found = []
    for match in pattern.finditer(text):
        found.append(match.span())
        if len(found) == LONGEST:
            break
    return found


def read(target: str) -> Target:
    """A target's JSON: ``{"spans":[[start, end, label], …]}``, all other words outside of spans.

    ``"rest"`` (1 unless given) is how much the other words count: 0 where only the spans named
    are spoken of. A span may have a fourth entry, how much its words count. Raises PluginError
    ``tagging.bad_target``.

    >>> read('{"spans":[[0,4,"PER"]],"rest":0}')
    Target(spans=((0, 4, 'PER'),), weights=(1.0,), rest=0.0)
    """
    try:
        said = json.loads(target)
        spans = tuple((int(one[0]), int(one[1]), str(one[2])) for one in said["spans"])
        weights = tuple(float(one[3]) if len(one) > 3 else 1.0 for one in said["spans"])
        rest = float(said.get("rest", 1.0))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise PluginError("tagging.bad_target", target=target[:80]) from None
    order = sorted(spans)
    apart = all(end <= after for (_, end, _), (after, _, _) in pairwise(order))
    whole = all(0 <= start < end for start, end, _ in spans)
    counted = all(math.isfinite(number) and number >= 0.0 for number in (*weights, rest))
    if not (apart and whole and counted):
        raise PluginError("tagging.bad_target", target=target[:80])
    return Target(spans, weights, rest)


def write(spans: Sequence[Span]) -> str:
    """Spans as a target about a whole text, the canonical one.

    >>> write([(6, 10, "LOC"), (0, 4, "PER")])
    '{"spans":[[0,4,"PER"],[6,10,"LOC"]]}'
    """
    return canonical_json({"spans": sorted(spans)})


def said(target: str) -> list[Span]:
    """The spans of a target that are labelled, in order."""
    return sorted(span for span in read(target).spans if span[2])


def covered(places: Sequence[Place], span: Span) -> tuple[int, int]:
    """First and last word (excluded) that the span touches; equal where it touches none."""
    start, end, _ = span
    inside = [n for n, (a, b) in enumerate(places) if a < end and start < b]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def without(span: Span, others: Sequence[Span]) -> list[Place]:
    """The parts of a span that none of the others, in order and apart, covers.

    >>> without((0, 8, "LOC"), [(2, 4, "PER"), (6, 9, "PER")])
    [(0, 2), (4, 6)]
    """
    found = []
    at, end, _ = span
    for start, stop, _ in others:
        if stop > at and start < end:
            found += [(at, start)] if start > at else []
            at = stop
    return found + ([(at, end)] if at < end else [])


def tags(places: Sequence[Place], spans: Sequence[Span]) -> list[str]:
    """The BIO2 tag of each word.

    >>> tags([(0, 3), (4, 8), (9, 11)], [(0, 8, "LOC")])
    ['B-LOC', 'I-LOC', 'O']
    """
    found = [OUTSIDE] * len(places)
    for span in spans:
        first, last = covered(places, span)
        if span[2] and last > first:
            found[first:last] = [f"B-{span[2]}"] + [f"I-{span[2]}"] * (last - first - 1)
    return found


def spans_of(places: Sequence[Place], tagged: Sequence[str]) -> list[Span]:
    """The spans that BIO2 tags mark; an I- without its beginning begins one.

    >>> spans_of([(0, 3), (4, 8), (9, 11)], ["B-LOC", "I-LOC", "B-LOC"])
    [(0, 8, 'LOC'), (9, 11, 'LOC')]
    """
    found: list[Span] = []
    before = OUTSIDE
    for (start, end), tag in zip(places, tagged, strict=True):
        label = tag[2:]
        if tag[0] == "I" and before[2:] == label:
            found[-1] = (found[-1][0], end, label)
        elif tag != OUTSIDE:
            found.append((start, end, label))
        before = tag
    return found


def _comes_tokenised(text: str) -> bool:
    if _HAS_CJK.search(text):
        return False
    return len(_ATTACHED.findall(text)) <= len(_ALONE.findall(text))
