"""Feedback in TensorZero's shape: a metric's value for an answer that was given."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http import told
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import Bad, Row, table_of
from upwell.interfaces.http.intake import Kept
from upwell.interfaces.http.schemas import FEEDBACK, FEEDBACK_ID
from upwell.interfaces.http.shapes import tensorzero
from upwell.records import BadRow
from upwell.service import new_id
from upwell.stages.collect.intake import sort_out
from upwell.store.access import CAPTURE
from upwell.tables import to_records


async def feedback(asked: Asked) -> Response:
    """Feedback is taken at once, whether its answer is known, unknown or long gone."""
    began = monotonic()
    body = await asked.body()
    try:
        sent = asked.parser.mapping(body.text())
    except RequestError as error:
        await asked.refuse_whole(body, error)
        raise
    named = str(sent.get("id") or new_id(datetime.now(UTC)))
    row = tensorzero.row(sent, named)
    if not isinstance(row, Bad):
        about, user = row.get("prediction"), row.get("user")
        if isinstance(about, str) and not user:
            user = asked.user_of(about, f"prediction:{about}")
        row = {**row, "user": user}
    if sent.get("dryrun") is True:
        return _dry(asked, row, named)
    kept = await asked.keep([row])
    asked.desk.meters.ack.add(monotonic() - began)
    return told.single(kept, asked.lang, {"feedback_id": named})


def _dry(asked: Asked, row: Row, named: str) -> Response:
    """What would have been said; nothing is stored."""
    now = datetime.now(UTC)
    if not isinstance(row, Bad):
        user = "?" if callable(row.get("user")) else row.get("user")
        row = {**row, "user": user, "at": row.get("at") or now}
    sorted_out = sort_out(table_of([row]), "app", now)
    bad = dict(enumerate(to_records(BadRow, sorted_out.bad)))
    told.single(Kept(1 - len(bad), 0, bad), asked.lang)
    return JSONResponse({"feedback_id": named, "dryrun": True})


ROUTES = (
    Spec("POST", "/v1/feedback", CAPTURE, feedback, "http.route.feedback", FEEDBACK, FEEDBACK_ID,
         statuses=(200, 202)),
)  # fmt: skip
