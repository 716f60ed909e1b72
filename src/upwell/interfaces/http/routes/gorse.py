"""Gorse's routes, so that a product that talks to Gorse can talk to Upwell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http import told
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import Row, counted
from upwell.interfaces.http.routes.answers import MOST, VERBS, answered
from upwell.interfaces.http.schemas import (
    AFFECTED,
    GORSE_FEEDBACK,
    GORSE_ITEM,
    GORSE_USER,
    ITEMS,
    NAMED,
    YES_OR_NO,
    many,
    number,
)
from upwell.interfaces.http.shapes import gorse
from upwell.store.access import CAPTURE, READ, WRITE

MINUTES = 60 * 24 * 365
"""The longest ``write-back-delay``."""


def _kept(shape: Callable[[Row], Row]) -> Callable[[Asked], Any]:
    """A route that stores what it is sent in one of Gorse's shapes."""

    async def keep(asked: Asked) -> Response:
        began = monotonic()
        body = await asked.body()
        try:
            found = asked.parser.document(body.text())
        except RequestError as error:
            await asked.refuse_whole(body, error)
            raise
        sent = found if isinstance(found, list) else [found]
        rows = counted([shape(asked.parser.row(one)) for one in sent], asked.desk.settings)
        kept = await asked.keep(rows)
        asked.desk.meters.ack.add(monotonic() - began)
        if len(kept.refused) == len(rows):
            return told.single(kept, asked.lang)
        counts = told.counts(kept, asked.lang)
        return JSONResponse({"RowAffected": kept.accepted, "Refused": counts["refused"]})

    return keep


async def recommend(asked: Asked) -> Response:
    """Items for a user: ids, or with ``X-API-Version: 2`` ids and scores."""
    began = monotonic()
    task = asked.desk.upwell.project.settings.project.task
    if task != "recommend":
        raise RequestError("http.other_task", 404, serves=VERBS.get(task, task))
    query = asked.request.query_params
    n = _number(query.get("n"), "n", asked.desk.upwell.project.settings.serve.k, MOST)
    offset = _number(query.get("offset"), "offset", 0, MOST - 1)
    if n + offset > MOST:
        raise RequestError("http.number", 400, field="n", low=0, high=MOST - offset)
    # Gorse's client for Python ends the path with a slash where it names no category.
    user = asked.request.path_params["user"].removesuffix("/")
    delay = _number(query.get("write-back-delay"), "write-back-delay", 0, MINUTES)
    said = query.get("personalize")
    personalize = {None: None, "true": True, "false": False}.get(said, said)
    answer = await answered(
        asked, user, None, max(n + offset, 1), "recommend", personalize=personalize
    )
    shown = answer["answers"][offset : offset + n]
    asked.desk.meters.inference.add(monotonic() - began)
    await _write_back(asked, user, [one["output"] for one in shown], answer["prediction"], delay)
    headers = (
        {"X-Upwell-Prediction": answer["prediction"], "X-Upwell-Model": answer["model"]}
        if answer["prediction"]
        else {}
    )
    if asked.request.headers.get("x-api-version") == "2":
        return JSONResponse([{"Id": o["output"], "Score": o["score"]} for o in shown], 200, headers)
    return JSONResponse([one["output"] for one in shown], 200, headers)


async def _write_back(
    asked: Asked, user: str, items: list[str], prediction: object, delay: int
) -> None:
    """Store that the items were shown, ``delay`` minutes from now, where that is asked for."""
    kind = asked.request.query_params.get("write-back-type")
    if not kind:
        return
    at = datetime.now(UTC) + timedelta(minutes=delay)
    sent: list[Row] = [
        {"id": f"{prediction}/{place}", "source": gorse.SOURCE, "user": user, "kind": kind,
         "item": item, "at": at, "prediction": prediction}
        for place, item in enumerate(items)
    ]  # fmt: skip
    if sent:
        told.single(await asked.keep(sent), asked.lang)


def _number(text: str | None, name: str, default: int, high: int) -> int:
    if text is None or text == "":
        return default
    plain = text.removesuffix("m") if name == "write-back-delay" else text
    if not (plain.isascii() and plain.isdigit() and len(plain) < 10 and int(plain) <= high):
        raise RequestError("http.number", 400, field=name, low=0, high=high)
    return int(plain)


_QUERY = {
    "n": number(0, MOST), "offset": number(0, MOST - 1), "write-back-type": NAMED,
    "write-back-delay": number(0, MINUTES), "personalize": YES_OR_NO,
}  # fmt: skip
_FEEDBACK, _USER, _ITEM = _kept(gorse.feedback), _kept(gorse.user), _kept(gorse.item)
_SENT = "http.route.gorse_feedback"
ROUTES = (
    Spec("POST", "/api/feedback", CAPTURE, _FEEDBACK, _SENT, many(GORSE_FEEDBACK), AFFECTED),
    Spec("PUT", "/api/feedback", CAPTURE, _FEEDBACK, _SENT, many(GORSE_FEEDBACK), AFFECTED),
    Spec("GET", "/api/recommend/{user:path}", READ, recommend, "http.route.gorse_recommend",
         answer=ITEMS, query=_QUERY),
    Spec("POST", "/api/user", WRITE, _USER, "http.route.gorse_user", GORSE_USER, AFFECTED),
    Spec("POST", "/api/users", WRITE, _USER, "http.route.gorse_user", many(GORSE_USER), AFFECTED),
    Spec("POST", "/api/item", WRITE, _ITEM, "http.route.gorse_item", GORSE_ITEM, AFFECTED),
    Spec("POST", "/api/items", WRITE, _ITEM, "http.route.gorse_item", many(GORSE_ITEM), AFFECTED),
)  # fmt: skip
