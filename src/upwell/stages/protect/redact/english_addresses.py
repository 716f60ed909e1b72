"""Addresses in languages of Europe: a street, a door or a box, and the lines that go on from there.

What makes an address one is its anchor: a house number with a street, a flat or a suite, a box of
the post or of the forces. Around it stand words with capitals: the street before, then city, state,
country and postcode, which commas, ends of lines and (after a door) spaces part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import Found, listed

FINDS = ("address",)
_UPPER = "A-Z\u00c0-\u00de\u0100-\u017f\u0386-\u03ab\u0410-\u042f"
_WORD = rf"[{_UPPER}](?:[a-z]{{0,3}}\.(?=[ \w])|[\w'’-]{{0,24}})"
_SMALL = (
    r"(?:de|des|del|della|di|da|do|dos|das|du|la|le|les|el|al|ibn|van|von|der|den|of|the|y|e|und|"
    r"ul\.|u\.|út|utca|útja|tér|gate|gata|gatan|tee|vej|veien|väg|allé|rue|via)"
)
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Place|Pl|Square|"
    r"Sq|Terrace|Way|Parkway|Pkwy|Highway|Hwy|"
    r"Circle|Cir|Trail|Alley|Crescent|Close|Plaza|Row|Route|Mews|Gardens|Grove|Hill|Green|Walk|"
    r"Loop|Pike|Crossing|Path|Bypass|Turnpike|Causeway|Str)"
)
_DOOR = (
    r"(?i:apt|apartment|suite|ste|unit|floor|room|rm|bldg|building|flat)\b\.? ?"
    r"#?[0-9]{1,5}[A-Za-z]?\b"
)
_AFTER = rf"(?:[,\n ]{{1,3}}(?:{_DOOR}|#[0-9A-Za-z]{{1,6}}\b)){{0,2}}"
_HOUSE = r"(?<![\w.,#/-])(?:[0-9]{1,6}[A-Za-z]?(?:[/-][0-9]{1,4})?[ ,]{1,2}){1,2}"
_MONTH = r"(?!(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b)"
_SIDE = r"(?: (?:[NSEW]|North|South|East|West|NW|NE|SW|SE)\b)?"
_ABROAD = (
    r"(?:Via|Viale|Piazza|Corso|Rua|Rue|rue|Calle|Carrera|Avenida|Av\.|Avda\.|Paseo|Strada|R|"
    r"Ulica|ul\.|Chemin|Praça|Travessa|Impasse|Allée|Avenue|Boulevard|Place|Quai)"
)
_ENDING = (
    r"(?:stra(?:ß|ss)e|straat|str\.|gasse|platz|weg|allee|gatan|gata|gade|vägen|veien|vej|laan|"
    r"katu|tie|kuja|plein|gracht|dreef|braut|vegur|stræti|gate)"
)
_STEP = r"(?:[ ,]{1,2}|\n[ ]{0,4})"
_ANCHOR = re.compile(
    rf"{_HOUSE}(?:(?:{_WORD}|[0-9]{{1,4}}(?:st|nd|rd|th)) ){{1,5}}?(?i:{_STREET})\b\.?"
    rf"{_SIDE}{_AFTER}"
    rf"|(?:{_HOUSE})?(?i:p\.? ?o\.? ?box) [0-9]{{1,6}}{_AFTER}"
    rf"|(?:PSC|CMR|Unit|USS|USNS|USCGC|USNV) [\w.-]{{1,16}},? ?(?:Box [0-9]{{1,6}})?"
    rf"(?=[,\n ]{{1,3}}[AFD]PO\b)"
    rf"|(?:{_HOUSE})?\b{_ABROAD} (?:{_WORD} |{_SMALL} ){{0,4}}?{_WORD}"
    rf"(?: [0-9]{{1,5}}[a-z]?\b|(?=$|[,\n])){_AFTER}"
    rf"|(?:{_HOUSE})?\b[{_UPPER}][\w-]{{0,24}}?{_ENDING}\b(?: [0-9]{{1,5}}[a-z]?\b)?{_AFTER}"
    rf"|{_HOUSE}{_MONTH}{_WORD}(?: (?:{_WORD}|{_SMALL})){{0,4}}? [0-9]{{1,5}}\b\.?{_AFTER}"
    rf"|(?:[Tt]he )?corner of (?:(?:{_WORD}|{_SMALL}|[0-9]{{1,5}}) ){{1,6}}?and "
    rf"(?:{_WORD}|{_SMALL}|[0-9]{{1,5}})(?: {_WORD}){{0,3}}"
)
_AT_DOOR = re.compile(
    rf"{_HOUSE}(?:(?:{_WORD}|{_SMALL}|[0-9]{{1,5}}){_STEP}){{1,7}}?{_DOOR}"
    rf"|(?:(?:{_WORD}|{_SMALL}) ){{0,5}}(?<!\w){_DOOR}"
)
_A_DOOR = re.compile(_DOOR)
_MORE = re.compile(
    rf"(?:(?P<mark>[ ]{{0,4}}[,\n][,\n ]{{0,5}})|[ ]{{1,2}})"
    rf"(?P<part>[AFD]PO [A-Z]{{2}}\b|[A-Z]{{1,2}}[0-9][0-9A-Z]? ?[0-9][A-Z]{{2}}\b|"
    rf"[0-9]{{2}}-[0-9]{{3}}\b(?!-)|[0-9]{{4,6}}(?:-[0-9]{{3,4}})?(?![\w-]| ?[0-9])|"
    rf"[A-Z]{{2,3}}\b|"
    rf"{_WORD}(?:[ -](?:{_SMALL} ){{0,2}}{_WORD}){{0,3}})"
)
_PARTS = 6
_AT = re.compile(
    r"(?i:\baddress(?: (?:is|to|as|of [\w ]{1,30} is))?:?|\blive[sd]? (?:at|in)|\bliving at|"
    r"\blocated (?:at|in)|\bsent to|\bsend (?:it )?to|\bship(?:ped)? (?:it )?to|"
    r"\bdeliver(?:ed)? to|\bmeet (?:me|you) at|\btaxi to|\bmoved to|\bresid(?:e|es|ing) at|"
    r"\bmail to)"
    rf"[: \n]{{1,3}}(?P<rest>(?:(?:the corner of )?"
    rf"(?:[A-Z][a-z]{{1,3}}\.|[0-9#{_UPPER}](?:[\w'#/-]|\.(?=\w)){{0,30}}+),?+"
    rf"(?:[ \n]{{1,3}}+(?:{_SMALL} )?+)?+){{2,16}}+)"
)
_ZIP = re.compile(
    r"\b(?i:zip|zip ?code|postcode|postal code)(?: is|:)? (?P<zip>[0-9]{3,6}(?:[ -][0-9]{2,4})?|"
    r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z0-9]{1,2})\b"
)
_STARTS = listed("sentence_starts")


def find(folded: str) -> Iterator[Found]:
    """Addresses in a folded text, with the lines that belong to them."""
    if not any(sign.isdigit() for sign in folded):
        return
    anchors = (_ANCHOR, _AT_DOOR) if _A_DOOR.search(folded) else (_ANCHOR,)
    for one in (one for pattern in anchors for one in pattern.finditer(folded)):
        yield Found(_begun(one), _extended(folded, one.end()), "address")
    for one in _ZIP.finditer(folded):
        yield Found(*one.span("zip"), "address")
    for one in _AT.finditer(folded):
        rest = one["rest"].removesuffix(" and ").rstrip(" ,.\n")
        if any(sign.isdigit() for sign in rest):
            yield Found(one.start("rest"), one.start("rest") + len(rest), "address")


def _begun(one: re.Match[str]) -> int:
    """Where an address begins: after words with which a sentence does."""
    start = one.start()
    for word in re.finditer(r"\S+", one.group()):
        if word.group() not in _STARTS:
            return start + word.start()
    return start


def _extended(folded: str, end: int) -> int:
    """Where an address ends whose street or door ends at ``end``."""
    for _ in range(_PARTS):
        more = _MORE.match(folded, end)
        if not more or more["part"].split(" ")[0] in _STARTS:
            break
        end = more.end()
    return end
