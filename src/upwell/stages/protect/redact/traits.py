"""What tells about somebody and not who: dates, ages, titles, nations and faiths, links, firms.

They identify together with other things. Texts are about little else, so these kinds are off
unless a project asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import Found, listed

FINDS = ("date", "age", "group", "title", "link", "organisation")
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sep(?:t(?:ember)?)?|"
    r"Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_DATE = re.compile(
    r"(?<![\w./-])(?:(?:1[89]|20)[0-9]{2}([-/.])[01]?[0-9]\1[0-3]?[0-9]|"
    r"[0-3]?[0-9]([-/.])[0-3]?[0-9]\2(?:(?:1[89]|20)[0-9]{2}|[0-9]{2}))"
    r"(?:[T ][0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?)?(?![\w/-])"
    rf"|\b[0-3]?[0-9](?:st|nd|rd|th)? (?:of )?{_MONTH}\.?,?(?: (?:1[89]|20)[0-9]{{2}})?\b"
    rf"|\b{_MONTH}\.? [0-3]?[0-9](?:st|nd|rd|th)?(?:,? (?:1[89]|20)[0-9]{{2}})?\b|\b{_MONTH} "
    rf"(?:1[89]|20)[0-9]{{2}}\b"
    r"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b"
    r"|(?<![\w.,#/-])(?:19[0-9]{2}|20[0-4][0-9])s?(?![\w/-]|[.,][0-9])"
    r"|(?:1[89]|20)[0-9]{2}年(?:[01]?[0-9]月(?:[0-3]?[0-9][日号])?)?|[01]?[0-9]月[0-3]?[0-9][日号]"
)
_AGE = re.compile(
    r"(?i:\b(?:aged?|turn(?:ed|s|ing)?|i am|i'm|he is|she is|is|was|age of|at)(?: (?:just|now|"
    r"about|already|only))?) "
    r"(?P<age>1?[0-9]{1,2})(?=$|[.,!?;]| (?:years?|yo|y/o|and|when|today|now|on)\b)"
    r"|(?<![\w.])(?P<old>1?[0-9]{1,2})(?=[ -](?:years?|months?|yrs?)[ -]old|[ -]?(?:y/o|yo)\b|"
    r"周?岁)"
)
_TITLE = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Madam|Rev|Hon|Capt|Sgt)\b\.?(?= [A-Z])|"
    r"\b(?:mr|mrs|ms)\.(?= )"
)
_NATIONS = "|".join(sorted(listed("nations")))
_WORDS_TOO = frozenset(("pole", "dane", "turk", "finn", "polish", "swede", "scot", "jain", "lao"))
"""Nations that are other words, or begin of them, in lower case."""
_GROUP = re.compile(rf"\b(?:{_NATIONS})(?:s|es)?\b", re.IGNORECASE)
_FORM = (
    r"(?:Inc|Incorporated|Ltd|LTD|Limited|LLC|LLP|LP|Corp|Corporation|Co|CO|Company|PLC|Plc|plc|"
    r"GmbH|AG|S\.A|SA|SE|NV|N\.V|BV|B\.V|AB|ASA|Oyj|KGaA|SpA|S\.p\.A|Pty|Holdings|Bancorp)"
)
_COMPANY = re.compile(
    rf"(?<![\w&])(?:[A-Z][\w&'’.-]{{0,24}} (?:& |and )?){{0,5}}?[A-Z0-9][\w&'’.-]{{0,24}},? "
    rf"{_FORM}\b(?:[., ]{{1,3}}{_FORM}\b){{0,2}}\.?"
)
_LINK = re.compile(
    r"\b(?:https?://|www\.)[^\s\"'<>,;\u4e00-\u9fff]{3,500}(?<![.!?)])|"
    r"(?<![\w@.-])(?:[a-z0-9-]{1,40}\.){1,3}(?:com|org|net|info|biz|io|co|edu|gov|"
    r"cn)\b(?:/[^\s\"'<>,;]{0,200}(?<![.!?)]))?",
    re.IGNORECASE,
)
_FORMS = (
    ("date", _DATE), ("title", _TITLE), ("group", _GROUP), ("link", _LINK),
    ("organisation", _COMPANY),
)  # fmt: skip


def find(folded: str) -> Iterator[Found]:
    """Dates, ages, titles, nations and faiths, links, firms by their legal form."""
    for kind, pattern in _FORMS:
        for one in pattern.finditer(folded):
            if kind != "group" or one.group().removesuffix("s") not in _WORDS_TOO:
                yield Found(one.start(), one.end(), kind)
    for one in _AGE.finditer(folded):
        yield Found(*one.span(one.lastgroup or "age"), "age")
