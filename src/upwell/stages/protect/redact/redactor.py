"""Texts without personal data: every family of detectors, then surrogates for what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from upwell.stages.protect.redact import (
    chinese,
    chinese_names,
    contacts,
    documents,
    english,
    english_addresses,
    numbers,
    secrets,
    traits,
)
from upwell.stages.protect.redact.spans import joined, trimmed
from upwell.stages.protect.redact.surrogates import Surrogates, is_surrogate
from upwell.stages.protect.redact.text import SEEN, Found, apart, fold, spoken

Detect = Callable[[Sequence[str]], Sequence[Iterable[tuple[int, int, str]]]]
"""A model: texts to (start, end, kind) of what it finds in each, in characters."""


class Family(NamedTuple):
    """Detectors that go together, and the kinds that they find."""

    kinds: frozenset[str]
    find: Callable[[str], Iterator[Found]]


FAMILIES = tuple(
    Family(frozenset(one.FINDS), one.find)
    for one in (
        secrets,
        contacts,
        numbers,
        documents,
        chinese,
        chinese_names,
        english,
        english_addresses,
        traits,
    )
)


class Redactor:
    """Replaces personal data of every kind that is not ``off``."""

    def __init__(self, key: bytes, off: Iterable[str] = (), detect: Detect | None = None) -> None:
        self._surrogates = Surrogates(key)
        self._off = frozenset(off)
        self._detect = detect
        self._families = [family for family in FAMILIES if family.kinds - self._off]

    def found(self, texts: Sequence[str]) -> list[list[Found]]:
        """What is personal in each text, in order of place, without overlaps."""
        more = self._detect(texts) if self._detect else [()] * len(texts)
        return [self._of(text, said) for text, said in zip(texts, more, strict=True)]

    def redact(self, texts: Sequence[str]) -> list[str]:
        """The texts with surrogates, each as long as before.

        >>> made = Redactor(bytes(32)).redact(["mail ann@example.org", "nothing here"])
        >>> len(made[0]), made[0][:9], made[1]
        (20, 'mail xxx@', 'nothing here')
        """
        return [
            self._replaced(text, spans)
            for text, spans in zip(texts, self.found(texts), strict=True)
        ]

    def one(self, kind: str, value: str) -> str:
        """The surrogate of a whole value whose kind is known; kept where its kind is off."""
        return value if kind in self._off else self._surrogates.of(kind, value)

    def _of(self, text: str, said: Iterable[tuple[int, int, str]]) -> list[Found]:
        folded = fold(text)
        found = list(trimmed(folded, said))
        for family in self._families:
            found += family.find(folded)
        digits = spoken(folded)
        if digits:
            found += numbers.find(digits)
            found += contacts.find(digits)
        return [
            one
            for one in joined(folded, apart(one for one in found if one.kind not in self._off))
            if one.kind != SEEN and not is_surrogate(one.kind, text[one.start : one.end])
        ]

    def _replaced(self, text: str, spans: Sequence[Found]) -> str:
        for one in reversed(spans):
            made = self._surrogates.of(one.kind, text[one.start : one.end])
            text = text[: one.start] + made + text[one.end :]
        return text
