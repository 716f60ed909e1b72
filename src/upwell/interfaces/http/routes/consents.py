"""Consent: what users allow, as easily withdrawn as given."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.schemas import CONSENT, RECORDED
from upwell.service import new_id
from upwell.store.access import WRITE

_FIELDS = ("user", "purposes", "since", "id")


async def consent(asked: Asked) -> Response:
    """Record what a user allows from now (or ``since``) on; no purposes is a withdrawal."""
    sent = await asked.mapping()
    for name in sent:
        if name not in _FIELDS:
            raise RequestError("http.unknown_field", 400, field=name[:80], value="")
    user, purposes = _text(sent, "user"), _purposes(sent.get("purposes"))
    now = datetime.now(UTC)
    since = _time(sent["since"]) if sent.get("since") is not None else now
    named = _text(sent, "id") if sent.get("id") is not None else new_id(now)
    asked.spend(1, [user])
    upwell = asked.desk.upwell
    new = await asked.desk.crew.run(lambda: upwell.consent([user], purposes, since, [named]))
    return JSONResponse({"id": named, "recorded": bool(new)}, 202)


def _text(sent: dict[str, object], name: str) -> str:
    value = sent.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RequestError("http.missing", 400, field=name)
    text = str(value)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise RequestError("collect.bad_text", 400, field=name, value=ascii(text[:40]))
    return text


def _purposes(value: object) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RequestError("http.missing", 400, field="purposes")
    return value


def _time(value: object) -> datetime:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise RequestError(
            "collect.unreadable_time", 400, field="since", value=str(value)[:80]
        ) from None


ROUTES = (
    Spec("POST", "/v1/consents", WRITE, consent, "http.route.consents", CONSENT, RECORDED,
         statuses=(202,)),
)  # fmt: skip
