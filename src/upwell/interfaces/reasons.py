"""Why something is recommended, in words: tasks say it as a word key, a tab and a detail."""

from __future__ import annotations

from upwell.words import catalogue, say


def told(reason: str, lang: str) -> str:
    r"""The sentence of a reason; a reason that is no known key is shown as it is.

    >>> told("cli.status.next\tupwell turn", "en")
    'Next: upwell turn'
    """
    key, _, detail = reason.partition("\t")
    if key not in catalogue(lang):
        return reason.replace("\t", " ")
    return say(key, lang, detail=detail, command=detail)
