"""English: sentences of Presidio's generator, judged by its own evaluator, Presidio beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.redaction import presidio
from bench.rows import Row
from upwell.stages.protect.redact.redactor import Detect, Redactor
from upwell.stages.protect.redact.text import Found

KINDS = {
    "name": "PERSON", "address": "STREET_ADDRESS", "place": "GPE", "organisation": "ORGANIZATION",
    "card": "CREDIT_CARD", "ssn": "US_SSN", "phone": "PHONE_NUMBER", "email": "EMAIL_ADDRESS",
    "ip": "IP_ADDRESS", "iban": "IBAN_CODE", "licence": "US_DRIVER_LICENSE", "date": "DATE_TIME",
    "age": "AGE", "group": "NRP", "title": "TITLE", "link": "DOMAIN_NAME",
}  # fmt: skip
"""Upwell's kinds by the generator's."""
PRESIDIO = {
    "LOCATION": "GPE",
    "URL": "DOMAIN_NAME",
    "US_ITIN": "US_SSN",
    "US_BANK_NUMBER": "CREDIT_CARD",
}
CHECKABLE = ("card", "email", "iban", "ip", "phone", "ssn")
ALL = (*KINDS.values(), "ZIP_CODE")
RECALL, F2 = 0.97, 0.845
Scores = Mapping[str, Mapping[str, float]]


def rows(key: bytes, size: int, seed: int, detect: Detect | None) -> list[Row]:
    """Upwell by rules and with a model, Presidio without one, on the same sentences."""
    asked = presidio.made(size, seed)
    texts = [str(one["text"]) for one in asked]
    rules = _scored(asked, Redactor(key).found(texts))
    theirs, _ = presidio.analysed(texts)
    others = presidio.scored(
        asked, [[(a, b, PRESIDIO.get(k, k)) for a, b, k in one] for one in theirs], ALL
    )
    made = [_recall(kind, rules, others) for kind in CHECKABLE]
    made += [
        row
        for kind in KINDS
        if kind not in CHECKABLE
        for row in _both(f"en {kind}, rules", rules, KINDS[kind])
    ]
    made += _whole("en, rules", rules) + _whole("en, Presidio without a model", others)
    if detect:
        whole = _scored(asked, Redactor(key, detect=detect).found(texts))
        made += [
            row
            for kind in KINDS
            if kind not in CHECKABLE
            for row in _both(f"en {kind}, rules and model", whole, KINDS[kind])
        ]
        made += _whole("en, rules and model", whole, F2)
    return made


def _scored(asked: Sequence[Mapping[str, Any]], found: Sequence[Sequence[Found]]) -> Scores:
    said = [
        [(one.start, one.end, KINDS.get(one.kind, one.kind)) for one in spans] for spans in found
    ]
    return presidio.scored(asked, said, (*ALL, *{k for one in said for _, _, k in one}))


def _recall(kind: str, ours: Scores, others: Scores) -> Row:
    mine, theirs = ours[KINDS[kind]], others[KINDS[kind]]["recall"]
    target = f"at least {RECALL:g} (n {mine['n']:.0f}, Presidio {theirs:.3f})"
    return Row(
        f"en {kind}, rules: recall",
        mine["recall"],
        *interval(mine["recall"], mine["n"]),
        target,
        mine["recall"] >= RECALL,
    )


def _both(name: str, scores: Scores, kind: str) -> list[Row]:
    found = scores.get(kind, {})
    return [
        Row(f"{name}: {what}", found[what], *interval(found[what], found["n"]))
        for what in ("recall", "precision")
        if found and math.isfinite(found[what])
    ]


def _whole(name: str, scores: Scores, aim: float | None = None) -> list[Row]:
    found = scores["PII"]
    made = [Row(f"{name}: {what}", found[what]) for what in ("recall", "precision")]
    target = "" if aim is None else f"at least {aim:g}"
    return [
        *made,
        Row(
            f"{name}: F2",
            found["f2"],
            target=target,
            holds=None if aim is None else found["f2"] >= aim,
        ),
    ]


def interval(share: float, size: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``size``."""
    if not size or not math.isfinite(share):
        return (math.nan, math.nan)
    z = 1.96
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    reach = (
        z / (1 + z * z / size) * math.sqrt(share * (1 - share) / size + z * z / (4 * size * size))
    )
    return (max(0.0, middle - reach), min(1.0, middle + reach))
