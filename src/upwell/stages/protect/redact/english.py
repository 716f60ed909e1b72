"""Names and addresses in English: titles and words that announce them, given names, streets.

A modest list of given names; whoever needs more than what is announced switches the model tier on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import Found, listed

FINDS = ("name", "address")
_LETTERS = re.compile(r"[A-Za-z]{2}|[A-Z]\.")
_GIVEN = listed("given_names")
_WORD = r"(?:[A-Z](?:[\w'’]|-(?=[A-Z]))*[\w'’]?|[A-Z]\.)"
_NAME = (
    rf"{_WORD}(?: (?:(?:de|da|van|von|der|den|di|del|la|le|bin|al|el|Mc) ){{0,2}}{_WORD}){{0,3}}"
)
_TITLED = re.compile(
    rf"\b(?i:mr|mrs|ms|miss|mx|dr|prof|professor|doctor|sir|madam|madame|mister|sr|sra|capt|"
    rf"captain|sgt|rev|judge|senator|officer|nurse|uncle|aunt)\b\.? (?P<name>{_NAME})"
)
_SAID = re.compile(
    r"\b(?P<cue>(?i:my (?:full |first |last |maiden |sur)?name(?: is|'s|:)|name(?: is|:|'s)|"
    r"named|called|call me|calls me|"
    r"i am|i'm|this is|it's|speak (?:to|with)|talk (?:to|with)|ask for|contact|attn:?|signed,?|"
    r"sincerely,?|regards,?|cheers,?|thanks,?|dear|hello|hi|hey|"
    r"customer:?|client:?|patient:?|passenger:?|guest:?|recipient:?|beneficiary:?|cardholder:?|"
    r"holder:?|account of|care of|c/o|on behalf of|"
    r"mother|father|brother|sister|wife|husband|son|daughter|friend|boss|colleague|neighbou?r|"
    r"manager|assistant|partner|met|from|by|with|to|and|for|add|username:?|user:?))"
    rf"[ \n]{{1,3}}(?P<name>{_NAME})"
)
_TOLD = re.compile(
    r"\b(?i:my (?:full |first |last )?name(?: is|'s|:)|name:|full name(?: is|:)|call me) "
    r"(?P<name>[a-z]{2,20}(?: [a-z]{2,20})?)(?=$|[.,!?;\n])"
)
_STRONG = re.compile(
    r"name|called|call|i am|i'm|signed|sincerely|regards|dear|hi|hello|hey|attn|holder|patient|"
    r"passenger|guest|recipient|beneficiary|behalf|c/o|care of",
    re.IGNORECASE,
)
_RUN = re.compile(rf"(?<![\w@./#-]){_NAME}(?!\w|@)")
_OTHER = listed("no_names")
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Place|Pl|Square|"
    r"Sq|Terrace|Way|Parkway|Pkwy|Highway|Hwy|"
    r"Circle|Cir|Trail|Alley|Crescent|Close|Plaza|Row|Route|Mews|Gardens|Grove|Hill|Green|Walk|"
    r"Loop|Pike|Crossing|Path|Bypass|Turnpike|Causeway)"
)
_UNIT = (
    r"(?:[,\n ]{1,3}(?i:apt|apartment|suite|ste|unit|floor|fl|room|rm|bldg|building|flat)\b\.? "
    r"?#?[0-9A-Za-z-]{1,6}|[,\n ]{1,3}#[0-9A-Za-z]{1,6})"
)
_REGION = (
    r"(?:[,\n ]{1,3}[A-Z][A-Za-z.'-]{1,20}(?: [A-Z][A-Za-z.'-]{1,20}){0,2})?(?:[,\n "
    r"]{1,3}[A-Z]{2})?(?:[,\n ]{1,3}(?:[0-9]{5}(?:-[0-9]{4})?|[A-Z]{1,2}[0-9][0-9A-Z]? "
    r"?[0-9][A-Z]{2}))?"
)
_CAP = r"(?:(?:[A-Z\u00c0-\u017f][\w'.-]{0,24}|[0-9]{1,4}(?:st|nd|rd|th)) )"
_PROPER = r"(?:[A-Z\u00c0-\u017f][\w'.-]{0,24} )"
_MONTH = r"(?!(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b)"
_SIDE = r"(?: (?:[NSEW]|North|South|East|West|NW|NE|SW|SE)\b)?"
_HOUSE = r"(?<![\w.,#/-])(?:[0-9]{1,6}[A-Za-z]?|[0-9]{1,4}-[0-9]{1,4})[ ,]{1,2}"
_ADDRESS = re.compile(
    rf"{_HOUSE}(?:(?:[NSEW]|North|South|East|West)\b\.? )?{_CAP}{{1,4}}?(?i:{_STREET})\b\.?"
    rf"{_SIDE}{_UNIT}?{_REGION}"
    rf"|(?i:p\.? ?o\.? ?box) [0-9]{{1,6}}{_REGION}"
)
_ABROAD = (
    r"(?:Via|Viale|Piazza|Corso|Rua|Rue|Calle|Carrera|Avenida|Av\.|Avda\.|Plaza|Paseo|Strada|"
    r"Ulica|ul\.|Chemin|Route|Place|Boulevard|Praça|Travessa|Impasse|Allée)"
)
_ENDING = (
    r"(?:stra(?:ß|ss)e|str\.|gasse|platz|weg|allee|gatan|gata|gade|vägen|veien|vej|laan|straat|"
    r"katu|tie|kuja|utca|út|plein|gracht|dreef)"
)
_STREET_ABROAD = re.compile(
    rf"(?:{_HOUSE})?(?:\b{_ABROAD} (?:[\w\u00c0-\u017f'.-]{{1,20}} "
    rf"){{0,4}}?[\w\u00c0-\u017f'.-]{{1,20}}(?: [0-9]{{1,5}}[a-z]?\b|(?=$|[,\n]))"
    rf"|\b[A-Z\u00c0-\u017f][\w\u00c0-\u017f-]{{0,24}}?{_ENDING}\b(?: "
    rf"[0-9]{{1,5}}[a-z]?\b)?){_UNIT}?"
    rf"|{_HOUSE}{_MONTH}{_PROPER}{{1,4}}[0-9]{{1,5}}\b{_UNIT}?"
)
_DOOR = re.compile(r"\b(?i:apt|apartment|suite|ste|unit|flat)\b\.? ?#?[0-9]{1,5}[A-Za-z]?\b")
_AT = re.compile(
    r"(?i:\baddress(?: (?:is|to|as|of [\w ]{1,30} is))?:?|\blive[sd]? (?:at|in)|\bliving at|"
    r"\blocated (?:at|in)|\bsent to|\bsend (?:it )?to|\bship(?:ped)? (?:it )?to|"
    r"\bdeliver(?:ed)? to|\bmeet (?:me|you) at|\btaxi to|\bmoved to|\bresid(?:e|es|ing) at|"
    r"\bmail to)"
    r"[: \n]{1,3}(?P<rest>(?:(?:the corner of )?[0-9A-Z#\u00c0-\u017f][\w'.#/\u00c0-\u017f-]{0,30"
    r"}+,?+"
    r"(?:[ \n]{1,3}+(?:(?:de|da|do|la|le|du|des|of|van|von|der|den|am|im|and|y|i) )?+)?+){2,16}+)"
)
_ZIP = re.compile(
    r"\b(?i:zip|zip code|zipcode|postcode|postal code)(?: is|:)? (?P<zip>[0-9]{5}(?:-[0-9]{4})?|"
    r"[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2})\b"
)


def find(folded: str) -> Iterator[Found]:
    """Names and addresses in a folded text."""
    if not _LETTERS.search(folded):
        return
    for pattern in (_TITLED, _SAID, _TOLD):
        for one in pattern.finditer(folded):
            yield from _name(one, pattern is not _SAID or bool(_STRONG.search(one["cue"])))
    for one in _RUN.finditer(folded):
        yield from _given(one)
    yield from _addresses(folded)


def _addresses(folded: str) -> Iterator[Found]:
    for pattern in (_ADDRESS, _STREET_ABROAD, _DOOR, _ZIP):
        for one in pattern.finditer(folded):
            yield Found(*one.span(one.lastgroup or 0), "address")
    for one in _AT.finditer(folded):
        rest = one["rest"].removesuffix(" and ").rstrip(" ,.\n")
        if any(sign.isdigit() for sign in rest):
            yield Found(one.start("rest"), one.start("rest") + len(rest), "address")


def _name(one: re.Match[str], strong: bool) -> Iterator[Found]:
    """What is announced as a name: without words that no name has, and known where weakly said."""
    start = one.start("name")
    taken = _until_other(one["name"])
    if taken and (strong or taken.split(" ")[0] in _GIVEN):
        yield Found(start, start + len(taken), "name")


def _given(one: re.Match[str]) -> Iterator[Found]:
    """A given name and the capitalised words after it."""
    place = one.start()
    words = one.group().split(" ")
    for n, word in enumerate(words):
        if word in _GIVEN:
            taken = _until_other(" ".join(words[n:]))
            yield Found(place, place + len(taken), "name")
            return
        place += len(word) + 1


def _until_other(name: str) -> str:
    """The words up to the first that is no part of a name."""
    taken: list[str] = []
    for word in name.split(" "):
        bare = word.removesuffix("'s").removesuffix("’s")
        if bare in _OTHER or (len(bare) > 3 and bare.isupper()):
            break
        taken.append(bare)
        if bare != word:
            break
    return " ".join(taken).rstrip("-'’")
