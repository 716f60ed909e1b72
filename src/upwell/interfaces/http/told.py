"""What became of rows, as an answer: a row that was refused says why, in the asker's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from string import Formatter
from typing import Any

from starlette.responses import JSONResponse

from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.intake import Kept
from upwell.records import BadRow
from upwell.words import catalogue, say

STORED, PARTLY = 202, 207
_STATUS = {"event.conflict": 409, "event.erased": 410}


def counts(kept: Kept, lang: str) -> dict[str, Any]:
    """``accepted``, ``duplicates`` and ``refused``: place, code, field and message of each."""
    return {
        "accepted": kept.accepted,
        "duplicates": kept.duplicates,
        "refused": [
            {"index": place, "code": bad.code, "field": bad.field, "message": message(bad, lang)}
            for place, bad in sorted(kept.refused.items())
        ],
    }


def batch(kept: Kept, lang: str) -> JSONResponse:
    """The answer to a batch: 202, or 207 where some rows were refused."""
    return JSONResponse(counts(kept, lang), PARTLY if kept.refused else STORED)


def single(kept: Kept, lang: str, more: Mapping[str, Any] | None = None) -> JSONResponse:
    """The answer to one event. Raises RequestError for a row that was refused."""
    for bad in kept.refused.values():
        status = _STATUS.get(bad.code, 400)
        raise RequestError(bad.code, status, None, **{**_details(bad), "field": bad.field})
    return JSONResponse({**counts(kept, lang), **(more or {})}, STORED)


def message(bad: BadRow, lang: str) -> str:
    """Why a row was refused. The reason that is kept is in English."""
    found = _details(bad)
    if lang == "en" or not found:
        return bad.reason
    expected = f"http.expected.{bad.field}"
    known = expected if expected in catalogue(lang) else "http.expected.text"
    return say(f"error.{bad.code}.what", lang, **{**found, "expected": say(known, lang)})


def _details(bad: BadRow) -> dict[str, str]:
    """The details that the English reason was made of, read back from it."""
    key = f"error.{bad.code}.what"
    match = _pattern(key).fullmatch(bad.reason) if key in catalogue("en") else None
    return {"field": bad.field, **match.groupdict()} if match else {}


@cache
def _pattern(key: str) -> re.Pattern[str]:
    """The English sentence of a key, with a group for each detail."""
    parts, seen = [], set[str]()
    for plain, name, _, _ in Formatter().parse(catalogue("en")[key]):
        parts.append(re.escape(plain))
        if name:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.*)")
            seen.add(name)
    return re.compile("".join(parts), re.DOTALL)
