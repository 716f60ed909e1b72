"""Names that others give to kinds and sources, as names that a record takes."""

from __future__ import annotations

import re

from upwell.records import NAME

LONGEST = 64
_OTHER = re.compile(r"[^a-z0-9._-]+")


def name_of(text: object) -> object:
    """A name that tells texts apart: as it is where it can be, else cut down.

    What is no text, or has no letter or digit to keep, is given back for the checks to refuse.

    >>> name_of("thumbs"), name_of("Product Clicked")
    ('thumbs', 'product_clicked')
    """
    if not isinstance(text, str) or NAME.fullmatch(text):
        return text
    cut = _OTHER.sub("_", text.strip().lower()).strip("._-")[:LONGEST]
    return cut or text
