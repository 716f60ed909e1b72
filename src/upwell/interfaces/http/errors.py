"""Refusals over HTTP: a status, a stable code, and sentences in the language of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.responses import JSONResponse

from upwell.errors import InterfaceError, UpwellError
from upwell.words import LANGUAGES, language

RETRY_SECONDS = 1
_STATUS = {
    "store.disk_full": 507,
    "store.busy": 503,
    "store.unusable": 503,
    "event.conflict": 409,
    "serve.no_champion": 409,
    "serve.other_verb": 404,
    "serve.too_long": 413,
    "collect.too_long": 413,
}
_FAMILIES = {"collect": 400, "record": 400, "cli": 400}
_CHOICE = re.compile(
    r"\s*([a-zA-Z]{1,8}|\*)(?:-[a-zA-Z0-9-]{1,32})?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*"
)


class RequestError(InterfaceError):
    """A request that is refused with ``status``; ``headers`` go with the answer."""

    def __init__(
        self, code: str, status: int, /, headers: Mapping[str, str] | None = None, **details: object
    ) -> None:
        super().__init__(code, **details)
        self.status = status
        self.headers = dict(headers or {})


def spoken(accepted: str) -> str:
    """The language that an ``Accept-Language`` header prefers; that of the process without one.

    >>> spoken("zh-CN,zh;q=0.9,en;q=0.8"), spoken("fr, en;q=0.5")
    ('zh', 'en')
    """
    best, weight = language(), 0.0
    for part in accepted[:256].split(","):
        match = _CHOICE.fullmatch(part)
        if match and match[1].lower() in LANGUAGES and float(match[2] or 1.0) > weight:
            best, weight = match[1].lower(), float(match[2] or 1.0)
    return best


def status_of(error: UpwellError) -> int:
    """The HTTP status of an error: 4xx where asking otherwise helps, 5xx where it does not."""
    if isinstance(error, RequestError):
        return error.status
    return _STATUS.get(error.code) or _FAMILIES.get(error.code.partition(".")[0], 500)


def body(error: UpwellError, lang: str) -> dict[str, dict[str, object]]:
    """``{"error": {"code", "message", "now", "next"}}``, and ``field`` where one is to blame."""
    message, now, after = error.explain(lang)
    told: dict[str, object] = {"code": error.code, "message": message, "now": now, "next": after}
    if error.details.get("field"):
        told["field"] = error.details["field"]
    return {"error": told}


def response(error: UpwellError, lang: str) -> JSONResponse:
    """The error as an answer; one that passes by itself says when to come again."""
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, RequestError) else {}
    if status in (503, 507):
        headers.setdefault("Retry-After", str(RETRY_SECONDS))
    return JSONResponse(body(error, lang), status, {**headers, "Content-Language": lang})
