"""Capture: events one by one and in batches, in the shapes that clients send already."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from upwell.interfaces.http import told
from upwell.interfaces.http.bodies import JSON, Body, as_text
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import Bad, Parser, Row, counted, readable
from upwell.interfaces.http.schemas import COUNTS, EVENTS, SEGMENT
from upwell.interfaces.http.shapes import cloudevents, segment
from upwell.store.access import CAPTURE

LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
ACCEPTED = (JSON, *LINES, cloudevents.ONE, cloudevents.MANY)
_LARGE = 1 << 16
"""Bytes from which reading a body would hold up other requests."""
_BATCH = re.compile(r'\s*\{\s*"batch"\s*:\s*(\[.*\])\s*\}\s*', re.DOTALL)


async def events(asked: Asked) -> Response:
    """Events as Upwell has them, one a line or in a list, or CloudEvents."""
    began = monotonic()
    body = await asked.body(*ACCEPTED)
    headers = asked.request.headers
    parser = asked.parser
    if "ce-specversion" in headers and body.media == JSON:
        is_single, rows = True, [cloudevents.from_headers(headers, parser.line(body.text()))]
    else:
        is_single, rows = await _read(asked, body, _events)
    longest = asked.desk.settings.event_bytes
    if is_single and len(body.data) > longest:
        raise RequestError("http.too_large", 413, longest=longest)
    kept = await asked.keep(rows)
    asked.desk.meters.ack.add(monotonic() - began)
    return told.single(kept, asked.lang) if is_single else told.batch(kept, asked.lang)


async def batch(asked: Asked) -> Response:
    """Calls of Segment's libraries."""
    began = monotonic()
    body = await asked.body()
    _, rows = await _read(asked, body, _segment)
    kept = await asked.keep(rows)
    asked.desk.meters.ack.add(monotonic() - began)
    return JSONResponse({"success": True, **told.counts(kept, asked.lang)})


Read = tuple[bool, list[Row]]


async def _read(asked: Asked, body: Body, read: Callable[[Parser, Body], Read]) -> Read:
    """The rows of a body, and whether it is one event alone; one that is unreadable is kept."""
    try:
        if len(body.data) < _LARGE:
            is_single, rows = read(asked.parser, body)
        else:
            is_single, rows = await to_thread.run_sync(read, asked.parser, body)
    except RequestError as error:
        await asked.refuse_whole(body, error)
        raise
    return is_single, counted(rows, asked.desk.settings)


def _events(parser: Parser, body: Body) -> Read:
    if body.media in LINES:
        return False, _lines(parser, body.data)
    is_single, rows = _rows(parser, body.text())
    if body.media in (cloudevents.ONE, cloudevents.MANY):
        return body.media == cloudevents.ONE, [cloudevents.row(row) for row in rows]
    return is_single, rows


def _segment(parser: Parser, body: Body) -> Read:
    is_single, rows = _rows(parser, body.text())
    if is_single:
        raise RequestError("http.not_batch", 400)
    return False, [segment.row(row) for row in rows]


def _rows(parser: Parser, text: str) -> Read:
    """One object, a list of them, or ``{"batch": [...]}``."""
    try:
        found = parser.document(text)
    except RequestError as error:
        if error.code != "http.too_deep":
            raise
        return _too_deep(parser, text, error)
    if isinstance(found, dict) and "batch" in found:
        found = found["batch"]
        if not isinstance(found, list):
            raise RequestError("http.not_batch", 400)
    if isinstance(found, list):
        return False, [parser.row(one) for one in found]
    return True, [parser.row(found)]


def _too_deep(parser: Parser, text: str, error: RequestError) -> Read:
    """One element that is too deep for a parser does not take its neighbours along."""
    wrapped = _BATCH.fullmatch(text)
    try:
        return False, parser.elements(wrapped[1] if wrapped else text)
    except ValueError:
        raise error from None


def _lines(parser: Parser, data: bytes) -> list[Row]:
    return [_line(parser, line) for line in data.split(b"\n") if line.strip()]


def _line(parser: Parser, line: bytes) -> Row:
    try:
        return parser.line(as_text(line))
    except RequestError as error:
        return Bad(error.code, "", str(error.details.get("value", "")), readable(line))


ROUTES = (
    Spec("POST", "/v1/events", CAPTURE, events, "http.route.events", EVENTS, COUNTS,
         accepts=ACCEPTED, statuses=(202, 207)),
    Spec("POST", "/v1/batch", CAPTURE, batch, "http.route.batch", SEGMENT, COUNTS),
)  # fmt: skip
