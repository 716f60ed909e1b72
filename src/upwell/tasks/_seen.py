"""The bar that a tagger has to clear: names that were spans in training rows, found again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from upwell.tasks._spans import Span, covered, said, words

LONGEST = 8
"""Words of a name that is remembered."""

Names = Mapping[tuple[str, ...], str]


def remembered(inputs: Iterable[str], targets: Iterable[str]) -> Names:
    """The most frequent label of each name that is a span of a target."""
    counts: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for text, target in zip(inputs, targets, strict=True):
        places = words(text)
        for span in said(target):
            first, last = covered(places, span)
            if 0 < last - first <= LONGEST:
                counts[tuple(text[a:b] for a, b in places[first:last])][span[2]] += 1
    return {name: min(found, key=lambda one: (-found[one], one)) for name, found in counts.items()}


def found_again(text: str, names: Names) -> list[Span]:
    """Names in a text from left to right, the longest that begins at each word.

    >>> found_again("Anna left New York", {("New", "York"): "LOC", ("York",): "PER"})
    [(10, 18, 'LOC')]
    """
    places = words(text)
    cut = [text[a:b] for a, b in places]
    spans: list[Span] = []
    at = 0
    while at < len(cut):
        size = _longest(cut[at : at + LONGEST], names)
        if size:
            label = names[tuple(cut[at : at + size])]
            spans.append((places[at][0], places[at + size - 1][1], label))
        at += size or 1
    return spans


def _longest(cut: Sequence[str], names: Names) -> int:
    """Words of the longest name that ``cut`` begins with, 0 for none."""
    return next((n for n in range(len(cut), 0, -1) if tuple(cut[:n]) in names), 0)
