"""Chinese sentences with known personal data, and short texts with numbers that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.redaction.draw import Draw
from bench.redaction.values import VALUES, Value, order

_ASKED = re.compile(r"\{(\w+)\}")
Span = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text and the personal data in it: start, end, kind."""

    text: str
    spans: tuple[Span, ...]


def sentences(
    templates: Sequence[str], size: int, seed: int, values: Mapping[str, Value] | None = None
) -> list[Sentence]:
    """``size`` sentences, every template as often as the others; ``values`` replace some."""
    rng, known = Draw(seed), VALUES | dict(values or {})
    return [_filled(templates[n % len(templates)], rng, known) for n in range(size)]


def numbers(templates: Sequence[str], size: int, seed: int) -> Iterator[str]:
    """Texts with the number of an order or a parcel, or with a time."""
    rng = Draw(seed)
    for n in range(size):
        yield templates[n % len(templates)].format(order=order(rng))


def _filled(template: str, rng: Draw, values: Mapping[str, Value]) -> Sentence:
    text, end = "", 0
    spans: list[Span] = []
    for asked in _ASKED.finditer(template):
        text += template[end : asked.start()]
        kind, make = values[asked[1]]
        value = make(rng)
        spans.append((len(text), len(text) + len(value), kind))
        text += value
        end = asked.end()
    return Sentence(text + template[end:], tuple(spans))
