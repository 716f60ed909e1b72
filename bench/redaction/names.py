"""Chinese names where nothing was made for the rules: other templates, real names, real texts."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.parquet as pq

from bench.datasets import data_folder
from bench.redaction.chinese import FALSE_IN_TEXTS, UNSURE, covered
from bench.redaction.draw import Draw
from bench.redaction.english import interval
from bench.redaction.sentences import Span, sentences
from bench.redaction.values import name
from bench.redaction.wording import NAMES
from bench.rows import Row
from bench.spans import passages, resume
from upwell.stages.protect.redact.redactor import Redactor

_REVIEWS = 6000


def rows(redactor: Redactor, size: int, seed: int) -> list[Row]:
    """Recall in the second templates and in résumés; finds in reviews, which name hardly anyone."""
    learned, said = (_resumes(*parts) for parts in (("train",), ("dev", "test")))
    real = sorted({text[a:b] for text, spans in learned for a, b, kind in spans if kind == "NAME"})

    def drawn(rng: Draw) -> str:
        return rng.choice(real)

    made = []
    for told, make in (("made names", name), ("names of résumés", drawn)):
        asked = sentences(NAMES, size, seed, {"name": ("name", make)})
        texts = [(one.text, one.spans) for one in asked]
        made.append(_recall(f"zh name, second templates, {told}: recall", redactor, texts, "name"))
    made += [
        _recall("zh name, résumés: recall", redactor, said, "NAME"),
        _precision(redactor, said),
    ]
    return [*made, _reviews(redactor)]


def _resumes(*parts: str) -> list[tuple[str, Sequence[Span]]]:
    found = (one for part in parts for one in passages(resume(data_folder(), part), between=""))
    return [(one.text, one.spans) for one in found]


def _recall(
    told: str, redactor: Redactor, asked: Sequence[tuple[str, Sequence[Span]]], kind: str
) -> Row:
    found = redactor.found([text for text, _ in asked])
    hits = [
        covered(start, end, one)
        for (_, spans), one in zip(asked, found, strict=True)
        for start, end, label in spans
        if label == kind
    ]
    share = sum(hits) / len(hits)
    target = f"at least {UNSURE:g} (n {len(hits)})"
    return Row(told, share, *interval(share, len(hits)), target, share >= UNSURE)


def _precision(redactor: Redactor, asked: Sequence[tuple[str, Sequence[Span]]]) -> Row:
    found = redactor.found([text for text, _ in asked])
    right = [
        any(one.start < end and start < one.end for start, end, kind in spans if kind == "NAME")
        for (_, spans), said in zip(asked, found, strict=True)
        for one in said
        if one.kind == "name"
    ]
    share = sum(right) / len(right)
    return Row("zh name, résumés: precision", share, *interval(share, len(right)))


def _reviews(redactor: Redactor) -> Row:
    """Some of these do name somebody (a waiter, a singer), so the truth is below it."""
    told = pq.read_table(data_folder() / "text-zh" / "reviews_zh.parquet")["text"].to_pylist()
    texts = told[:: max(1, len(told) // _REVIEWS)]
    share = sum(any(s.kind == "name" for s in one) for one in redactor.found(texts)) / len(texts)
    return Row(
        "zh reviews of meals and hotels with a name found",
        share,
        *interval(share, len(texts)),
        f"at most {FALSE_IN_TEXTS:g} (n {len(texts):,})",
        share <= FALSE_IN_TEXTS,
    )
