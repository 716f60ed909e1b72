"""Chinese sentences with known personal data, and short texts with numbers that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.redaction.draw import Draw
from bench.redaction.values import VALUES, order

_ASKED = re.compile(r"\{(\w+)\}")
Span = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text and the personal data in it: start, end, kind."""

    text: str
    spans: tuple[Span, ...]


def sentences(templates: Sequence[str], size: int, seed: int) -> list[Sentence]:
    """``size`` sentences, every template as often as the others."""
    rng = Draw(seed)
    return [_filled(templates[n % len(templates)], rng) for n in range(size)]


def numbers(templates: Sequence[str], size: int, seed: int) -> Iterator[str]:
    """Texts with the number of an order or a parcel, or with a time."""
    rng = Draw(seed)
    for n in range(size):
        yield templates[n % len(templates)].format(order=order(rng))


def _filled(template: str, rng: Draw) -> Sentence:
    text, end = "", 0
    spans: list[Span] = []
    for asked in _ASKED.finditer(template):
        text += template[end : asked.start()]
        kind, make = VALUES[asked[1]]
        value = make(rng)
        spans.append((len(text), len(text) + len(value), kind))
        text += value
        end = asked.end()
    return Sentence(text + template[end:], tuple(spans))
