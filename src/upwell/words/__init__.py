"""What Upwell says to people, by key, in English and Chinese.

One folder per language, one JSON file per area. Code never holds a sentence for users; it holds
a key, so every sentence exists in every language (a test compares the catalogues).
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from string import Formatter

LANGUAGES = ("en", "zh")


def language() -> str:
    """The language to speak: ``UPWELL_LANG``, else ``LC_ALL`` / ``LANG``, else English.

    >>> language() in LANGUAGES
    True
    """
    for name in ("UPWELL_LANG", "LC_ALL", "LANG"):
        value = os.environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def catalogue(lang: str) -> dict[str, str]:
    """Every sentence of one language, by key."""
    sentences: dict[str, str] = {}
    for area in (Path(__file__).parent / lang).glob("*.json"):
        sentences.update(json.loads(area.read_text(encoding="utf-8")))
    return sentences


def say(key: str, /, lang: str | None = None, **details: object) -> str:
    """The sentence of ``key`` with its details filled in.

    >>> say("cli.row", lang="en", n=3)
    '3 rows'
    """
    return catalogue(lang or language())[key].format(**details)


def retold(key: str, said: str, lang: str) -> str:
    """What was ``said`` as the English sentence of ``key``, in another language.

    It stays as it is where it is another sentence: from an older version, say, or cut short.

    >>> retold("error.record.missing.what", "'kind' is missing or empty.", "zh")
    '“kind”缺失或为空。'
    """
    english, wanted = catalogue("en").get(key), catalogue(lang).get(key)
    if lang == "en" or not english or not wanted:
        return said
    pattern, named = "", set[str]()
    for text, name, _, _ in Formatter().parse(english):
        pattern += re.escape(text)
        if name:
            pattern += f"(?P={name})" if name in named else f"(?P<{name}>.*)"
            named.add(name)
    found = re.fullmatch(pattern, said, re.DOTALL)
    return wanted.format(**found.groupdict()) if found else said
