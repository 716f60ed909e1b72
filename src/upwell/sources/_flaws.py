"""Why a row of a file could not be read as an event: the reason that intake keeps it with."""

from __future__ import annotations

import json

BAD_TEXT = "source.bad_text"
NO_OBJECT = "source.not_object"
NOTHING_SAID = "source.nothing_said"
OTHER_WIDTH = "source.other_width"
USUAL = (NO_OBJECT, NOTHING_SAID)
_SHOWN = 80


def problem(text: str, flaws: tuple[str, str]) -> str:
    r"""Code, field and value, tabs between, as ``tables.PROBLEM`` holds them.

    The first of ``flaws`` is that of a text which is no JSON object, the other that of one.

    >>> problem("[1]", USUAL)
    'source.not_object\t\t[1]'
    """
    line = " ".join(text[:_SHOWN].split())
    shown = line if line.isprintable() else ascii(line)[1:-1]
    return f"{flaws[_is_object(text)]}\t\t{shown}"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
