"""Telephone numbers: by how they are written, by the plan of a country, or by what is said."""

from __future__ import annotations

import re

import phonenumbers

CUE = re.compile(
    r"电话|手机|联系|致电|拨|来电|打给|座机|固话|热线|短信|传真|"
    r"\b(?:phone|phones|tel|telephone|call|called|calling|mobile|cell|cellphone|fax|desk|office|"
    r"text|sms|dial|ring|whatsapp|reach|contact|voicemail|answering|registered)\b|"
    r"\b(?:messages?|texts?) to\b"
)
"""Words that announce a telephone number."""
_NUMBER = re.compile(r"号码|\bnumber\b")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_LANDLINE = re.compile(r"0(?:10|2[0-9]|[3-9][0-9]{2})[2-9][0-9]{6,7}")
_HOTLINE = re.compile(r"[48]00[0-9]{7}")
_NORTH_AMERICA = re.compile(
    r"(?:\+?1[-. ]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.])[0-9]{3}[-. ][0-9]{4}(?: ?(?:x|"
    r"ext)[0-9]+)?"
)
_DATED = re.compile(
    r"(?:19|20)[0-9]{2}([-./])[01]?[0-9]\1[0-3]?[0-9](?: [0-9]{1,2})?|"
    r"[0-3]?[0-9]([-./])[0-3]?[0-9]\2(?:19|20)[0-9]{2}"
)
_PARTED = re.compile(r"[ \-.()/]")
REGIONS = ("CN", "US", "GB", "HK", "TW", "SG", "AU", "DE", "FR", "IN")
"""Countries by whose plans a number in groups is judged where nothing says what it is."""


def is_phone(text: str, digits: str, around: str, alone: bool) -> bool:
    """Whether a run of digits is a telephone number.

    ``around`` is what stands about it in lower case; ``alone``: the text is nothing else, which
    numbers of orders often are, so that only groups or a plus sign tell.
    """
    if _DATED.fullmatch(text) or not 6 <= len(digits) <= 16:
        return False
    if len(digits) == 6:
        return bool(CUE.search(around)) and len(_PARTED.split(text)) in (2, 3)
    if text[0] == "+" or (digits[:2] == "00" and digits[2:3] != "0"):
        return len(digits) >= 8 and _possible(digits.removeprefix("00"))
    cued = bool(CUE.search(around) or _NUMBER.search(around))
    if cued:
        return True
    if _PARTED.search(text):
        return bool(_NORTH_AMERICA.fullmatch(text)) or _chinese(digits) or _planned(text, digits)
    return not alone and _chinese(digits)


def _chinese(digits: str) -> bool:
    bare = digits[2:] if len(digits) == 13 and digits.startswith("86") else digits
    return any(form.fullmatch(bare) for form in (_MOBILE, _LANDLINE, _HOTLINE))


def _possible(digits: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        return False


def _planned(text: str, digits: str) -> bool:
    """Whether grouped digits are valid in the plan of a country that is looked at."""
    if len(digits) < 9 or not 2 <= len(_PARTED.split(text)) <= 5:
        return False
    for region in REGIONS:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(digits, region)):
                return True
        except phonenumbers.NumberParseException:
            return False
    return False
