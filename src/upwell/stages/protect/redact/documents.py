"""Documents and vehicles: passports, permits of Hong Kong, Macao and Taiwan, number plates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import Found, near

FINDS = ("plate", "passport", "permit")
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领][A-HJ-NP-Za-hj-np-z][ "
    r"·•.\-]{0,2}"
    r"(?:[A-HJ-NP-Za-hj-np-z0-9]{4,5}[A-HJ-NP-Za-hj-np-z0-9挂学警港澳])(?![0-9A-Za-z])"
)
_BOOK = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9][ -])(?:[A-Z]{1,2}[ ]?[0-9]{7,9}|[0-9]{8,9})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_PASSPORT = re.compile(r"护照|passport")
_PERMIT = re.compile(r"通行证|回乡证|台胞证|返乡证|居住证|往来|\bpermit\b")
_PERMIT_FORM = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9][ -])(?:[HMCWTL][A-Z]?[ ]?[0-9]{7,10}|"
    r"[0-9]{8}(?:[0-9]{2})?)(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_HONG_KONG = re.compile(r"(?<![0-9A-Za-z])([A-Z]{1,2})([0-9]{6})\(?([0-9A])\)?(?![0-9A-Za-z])")
_TAIWAN = re.compile(r"(?<![0-9A-Za-z])[A-Z][12][0-9]{8}(?![0-9A-Za-z])")
_TAIWAN_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def find(folded: str) -> Iterator[Found]:
    """Documents, which the words about them tell, and plates, which their form does."""
    for one in _PLATE.finditer(folded):
        tail = one.group()[2:].lstrip(" ·•.-")
        if any(sign.isdigit() for sign in tail):
            yield Found(one.start(), one.end(), "plate")
    yield from _said(folded)
    for one in _HONG_KONG.finditer(folded):
        if "(" in one.group() and _is_hong_kong(*one.groups()):
            yield Found(one.start(), one.end(), "permit")
    for one in _TAIWAN.finditer(folded):
        if _is_taiwan(one.group()):
            yield Found(one.start(), one.end(), "permit")


def _said(folded: str) -> Iterator[Found]:
    """Documents whose numbers the words around them tell."""
    lowered = folded.lower()
    for kind, cue, form in (("passport", _PASSPORT, _BOOK), ("permit", _PERMIT, _PERMIT_FORM)):
        if cue.search(lowered):
            for one in form.finditer(folded):
                if cue.search(near(folded, one.start(), one.end(), 24, 12)):
                    yield Found(one.start(), one.end(), kind)


def _is_hong_kong(letters: str, digits: str, check: str) -> bool:
    """The check digit of a Hong Kong identity card: weights 9 to 2, modulo 11."""
    values = [36 if one == " " else int(one, 36) for one in letters.rjust(2) + digits]
    total = sum(value * weight for value, weight in zip(values, range(9, 1, -1), strict=True))
    return "0123456789A"[-total % 11] == check


def _is_taiwan(text: str) -> bool:
    """The check digit of a Taiwan identity number: weights 1, 9 to 1, 1, modulo 10."""
    number = str(_TAIWAN_LETTERS.index(text[0]) + 10) + text[1:]
    weights = (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)
    return sum(int(one) * w for one, w in zip(number, weights, strict=True)) % 10 == 0
