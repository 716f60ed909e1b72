"""Names that others give to kinds and sources, as names that a record takes."""

from __future__ import annotations

import hashlib
import re

from upwell.records import NAME

_OTHER = re.compile(r"[^a-z0-9._-]+")
_LONGEST = 64


def name_of(text: object) -> object:
    """A name that tells texts apart: as it is where it can be, else cut down.

    What is no text, or has no letter or digit to keep, is given back for the checks to refuse.

    >>> name_of("thumbs"), name_of("Product Clicked")
    ('thumbs', 'product_clicked')
    """
    if not isinstance(text, str) or NAME.fullmatch(text):
        return text
    cut = _OTHER.sub("_", text.strip().lower()).strip("._-")[:_LONGEST]
    return cut or text


def unique_name_of(text: object) -> object:
    """Like ``name_of``, with eight digits of a hash wherever the name was changed.

    >>> unique_name_of("https://shop.example/web")
    'https_shop.example_web-af095c2c'
    """
    found = name_of(text)
    if found == text or not isinstance(text, str) or not isinstance(found, str):
        return found
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{found[: _LONGEST - 9]}-{mark}"
