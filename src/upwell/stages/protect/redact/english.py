"""Names in English: titles and words that announce them, given names.

A modest list of given names; whoever needs more than what is announced switches the model tier on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from upwell.stages.protect.redact.text import Found, listed

FINDS = ("name",)
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


def find(folded: str) -> Iterator[Found]:
    """Names in a folded text."""
    if not _LETTERS.search(folded):
        return
    for pattern in (_TITLED, _SAID, _TOLD):
        for one in pattern.finditer(folded):
            yield from _name(one, pattern is not _SAID or bool(_STRONG.search(one["cue"])))
    for one in _RUN.finditer(folded):
        yield from _given(one)


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
