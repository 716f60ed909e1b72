"""Refusals over HTTP: a status, a stable code, and sentences in the language of the request."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse

from upwell.errors import InterfaceError, StoreError, UpwellError
from upwell.words import LANGUAGES, language, say

RETRY_SECONDS = 1
_STATUS = {
    "store.disk_full": 507,
    "store.busy": 503,
    "store.unusable": 503,
    "store.not_durable": 503,
    "store.not_utf8": 503,
    "event.conflict": 409,
    "event.erased": 410,
    "erase.unknown": 404,
    "serve.no_champion": 409,
    "serve.other_verb": 404,
    "serve.too_long": 413,
    "serve.no_model": 404,
    "serve.no_encoder": 404,
    "serve.not_talking": 404,
    "chat.empty": 400,
    "chat.role": 400,
    "chat.refused": 400,
    "chat.too_long": 400,
    "chat.no_base": 409,
    "chat.no_model": 409,
    "upstream.refused": 400,
    "upstream.no_model": 404,
    "upstream.busy": 429,
    "upstream.failed": 502,
    "upstream.garbage": 502,
    "upstream.unreachable": 502,
    "upstream.late": 504,
    "collect.too_long": 413,
}
_FAMILIES = {"collect": 400, "record": 400, "cli": 400}
_OPENAI = {
    "serve.no_model": "model_not_found",
    "upstream.no_model": "model_not_found",
    "serve.too_long": "context_length_exceeded",
    "chat.too_long": "context_length_exceeded",
    "http.no_key": "invalid_api_key",
    "http.bad_key": "invalid_api_key",
    "http.too_often": "rate_limit_exceeded",
    "http.missing": "missing_required_parameter",
    "openai.unsupported": "unsupported_parameter",
    "openai.value": "invalid_value",
    "upstream.busy": "rate_limit_exceeded",
}
"""Codes that clients of OpenAI's API know; all others are Upwell's own."""
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
    if isinstance(error, StoreError) and "problem" in error.details:
        # What a database says of itself, hosts and users, is for those who run the service.
        error = StoreError(error.code, **{**error.details, "problem": say("http.in_the_log", lang)})
    message, now, after = error.explain(lang)
    told: dict[str, object] = {"code": error.code, "message": message, "now": now, "next": after}
    if error.details.get("field"):
        told["field"] = error.details["field"]
    return {"error": told}


def openai_body(error: UpwellError, lang: str) -> dict[str, dict[str, object]]:
    """``{"error": {"message", "type", "param", "code"}}``, as clients of OpenAI's API read it."""
    status, told = status_of(error), body(error, lang)["error"]
    kind = "server_error" if status >= 500 else "invalid_request_error"
    kind = {403: "permission_error", 429: "rate_limit_error"}.get(status, kind)
    message = " ".join(str(told[part]) for part in ("message", "now", "next"))
    code = _OPENAI.get(error.code, error.code)
    return {"error": {"message": message, "type": kind, "param": told.get("field"), "code": code}}


def otlp_body(error: UpwellError, lang: str) -> dict[str, object]:
    """``{"message", "error"}``: a Status, as OTLP has it, with Upwell's own beside it."""
    found = body(error, lang)
    message = " ".join(str(found["error"][part]) for part in ("message", "now", "next"))
    return {"message": message, **found}


_BODIES: Mapping[str, Callable[[UpwellError, str], Mapping[str, object]]] = {
    "upwell": body, "openai": openai_body, "otlp": otlp_body,
}  # fmt: skip


def response(error: UpwellError, lang: str, speaks: str = "upwell") -> JSONResponse:
    """The error as an answer; one that passes by itself says when to come again."""
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, RequestError) else {}
    if status in (429, 503, 507):
        headers.setdefault("Retry-After", str(error.details.get("seconds", RETRY_SECONDS)))
    told = _BODIES[speaks](error, lang)
    return JSONResponse(told, status, {**headers, "Content-Language": lang})
