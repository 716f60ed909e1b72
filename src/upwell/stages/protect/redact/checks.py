"""Check digits: what a number must fulfil to be a card, an IBAN, a resident ID or a company code.

Sources: ISO/IEC 7812 (Luhn, issuers), ISO 13616 (IBAN), GB 11643-1999 (resident ID), GB 32100-2015
(company code), SSA (areas never given out).
"""

from __future__ import annotations

import re
from datetime import date

from upwell.stages.protect.redact.text import listed

_PROVINCES = listed("zh_provinces")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_COMPANY = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_COMPANY_WEIGHTS = tuple(pow(3, n, 31) for n in range(17))
_COMPANY_KINDS = re.compile(r"[159][1239]|[1-9AN-Y][1-9]|Y1")
_ISSUERS = re.compile(
    r"(?:4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}(?:\d{3})?|62\d{14,17}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|(?:2131|1800)\d{11}|3(?:0[0-5]|[689]\d)\d{11}|(?:50|5[6-9]|6[0-9])\d{10,17})"
)
_GROUPED = re.compile(
    r"\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{6}([ -])\d{7,13}"
)
_LENGTHS = {pair[:2]: int(pair[2:]) for pair in listed("iban_lengths")}


def luhn(digits: str) -> bool:
    """Whether the last digit is right by Luhn's formula.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = sum(map(int, digits[-1::-2]))
    return (total + sum(sum(divmod(2 * int(one), 10)) for one in digits[-2::-2])) % 10 == 0


def is_issued(digits: str) -> bool:
    """Whether digits have a length and a prefix that an issuer of cards has."""
    return bool(_ISSUERS.fullmatch(digits))


def is_grouped(text: str) -> bool:
    """Whether digits are written in the groups of a card: 4-4-4-4, 4-6-5 or 6-13."""
    return bool(_GROUPED.fullmatch(text))


def is_resident(digits: str, last: str) -> bool:
    """Whether 17 or 18 digits, with what stands last, are a resident ID of China.

    >>> is_resident("11010519491231002", "X"), is_resident("110105194912310021", "1")
    (True, False)
    """
    body, check = (digits[:17], digits[17]) if len(digits) == 18 else (digits, last.upper())
    if digits[:2] not in _PROVINCES or not _is_date(body[6:14]):
        return False
    total = sum(int(one) * weight for one, weight in zip(body, _WEIGHTS, strict=True))
    return _CHECKS[total % 11] == check


def is_old_resident(digits: str) -> bool:
    """Whether 15 digits could be a resident ID of before 1999, which had no check digit."""
    return digits[:2] in _PROVINCES and _is_date("19" + digits[6:12])


def is_company(code: str) -> bool:
    """Whether 18 characters are a unified social credit code of China.

    >>> is_company("91350100M000100Y43"), is_company("91350100M000100Y44")
    (True, False)
    """
    if not _COMPANY_KINDS.match(code) or code[2:4] not in _PROVINCES | {"10"}:
        return False
    total = sum(_COMPANY.index(one) * w for one, w in zip(code, _COMPANY_WEIGHTS, strict=False))
    return _COMPANY[-total % 31] == code[17]


def iban_length(text: str) -> int:
    """How many characters of ``text`` (spaces and dashes with them) are an IBAN; 0 for none.

    >>> iban_length("GB82 WEST 1234 5698 7654 32 to him"), iban_length("GB83WEST12345698765432")
    (27, 0)
    """
    wanted = _LENGTHS.get(text[:2].upper(), 0)
    plain = ""
    for place, one in enumerate(text):
        if not one.isalnum():
            continue
        plain += one.upper()
        if len(plain) == wanted:
            ended = place + 1 == len(text) or not text[place + 1].isalnum()
            turned = plain[4:] + plain[:4]
            return (
                place + 1
                if ended and int("".join(str(int(c, 36)) for c in turned)) % 97 == 1
                else 0
            )
    return 0


def is_social(digits: str) -> bool:
    """Whether nine digits are a social security or taxpayer number that may exist."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and group != "00" and serial != "0000"


def _is_date(digits: str) -> bool:
    try:
        return 1850 <= date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).year <= 2100
    except ValueError:
        return False
