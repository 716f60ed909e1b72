"""Chinese: sentences from held-out templates; numbers of orders and times, which are nobody's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.redaction.english import interval
from bench.redaction.sentences import Sentence, numbers, sentences
from bench.redaction.wording import HELD_OUT, NOTHING
from bench.rows import Row
from upwell.stages.protect.redact.redactor import Redactor
from upwell.stages.protect.redact.text import Found

SURE, UNSURE, FALSE, FALSE_IN_TEXTS = 0.99, 0.85, 0.001, 0.02
_UNSURE = ("name", "address")
_AT_ONCE = 10_000


def rows(redactor: Redactor, size: int, seed: int) -> list[Row]:
    """Recall (a value counts that is covered whole) and precision by kind."""
    asked = sentences(HELD_OUT, size, seed)
    found = redactor.found([one.text for one in asked])
    hits, told, right, said = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for sentence, spans in zip(asked, found, strict=True):
        for start, end, kind in sentence.spans:
            told[kind] += 1
            hits[kind] += covered(start, end, spans)
        for one in spans:
            said[one.kind] += 1
            right[one.kind] += _asked_for(one, sentence)
    made = []
    for kind in sorted(told):
        aim = UNSURE if kind in _UNSURE else SURE
        share = hits[kind] / told[kind]
        made.append(
            Row(
                f"zh {kind}: recall",
                share,
                *interval(share, told[kind]),
                f"at least {aim:g} (n {told[kind]})",
                share >= aim,
            )
        )
    for kind in sorted(said):
        share = right[kind] / said[kind]
        made.append(Row(f"zh {kind}: precision", share, *interval(share, said[kind])))
    return made


def false_positives(redactor: Redactor, size: int, seed: int) -> Row:
    """The share of texts about orders, parcels and times in which anything is found."""
    texts = list(numbers(NOTHING, size, seed))
    wrong = sum(
        bool(spans)
        for at in range(0, size, _AT_ONCE)
        for spans in redactor.found(texts[at : at + _AT_ONCE])
    )
    share = wrong / size
    low, high = interval(share, size)
    return Row(
        "numbers of orders and times: false positives",
        share,
        low,
        high,
        f"at most {FALSE:g} of {size:,}",
        share <= FALSE,
    )


def covered(start: int, end: int, spans: Sequence[Found]) -> bool:
    """Whether no character of a place is left."""
    left = set(range(start, end))
    for one in spans:
        left -= set(range(one.start, one.end))
    return not left


def _asked_for(one: Found, sentence: Sentence) -> bool:
    """Whether a find overlaps personal data and reaches no further than two characters beyond."""
    return any(
        one.start < end and start < one.end and start - one.start <= 2 and one.end - end <= 2
        for start, end, _ in sentence.spans
    )
