"""Names that others give to kinds and sources, as names that a record takes."""

from __future__ import annotations

import hashlib

from upwell.sources._names import LONGEST, name_of

__all__ = ["name_of", "unique_name_of"]


def unique_name_of(text: object) -> object:
    """Like ``name_of``, with eight digits of a hash wherever the name was changed.

    >>> unique_name_of("https://shop.example/web")
    'https_shop.example_web-af095c2c'
    """
    found = name_of(text)
    if found == text or not isinstance(text, str) or not isinstance(found, str):
        return found
    mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{found[: LONGEST - 9]}-{mark}"
