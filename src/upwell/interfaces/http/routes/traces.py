"""OTLP over HTTP: answers given elsewhere, and evaluations, from any OpenTelemetry exporter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from time import monotonic

from anyio import to_thread
from starlette.responses import Response

from upwell.errors import StageError
from upwell.interfaces.http import told
from upwell.interfaces.http.bodies import JSON, Body
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import Bad
from upwell.interfaces.http.intake import Kept
from upwell.interfaces.http.schemas import telemetry
from upwell.interfaces.http.shapes import otlp
from upwell.interfaces.http.shapes.otlp import Heard, Listener, Signal
from upwell.plugins import plugin
from upwell.ports import Talking
from upwell.store.access import WRITE
from upwell.store.heard import keep_heard
from upwell.words import say

ACCEPTED = (JSON, otlp.PROTOBUF)
_LANG = "en"
"""OTLP asks for messages in English: whoever sends is a program."""


async def traces(asked: Asked) -> Response:
    """Spans: those about answers are recorded, evaluations on them are feedback."""
    return await _take(asked, otlp.TRACES)


async def logs(asked: Asked) -> Response:
    """Log records: evaluations, and events that hold an answer."""
    return await _take(asked, otlp.LOGS)


async def _take(asked: Asked, signal: Signal) -> Response:
    """Store what is said; what is not refused in the answer is on disk or says nothing."""
    began = monotonic()
    try:
        body = await asked.body(*ACCEPTED)
    except RequestError as error:
        if error.code != "http.empty":
            raise
        # A protobuf without any field is no byte at all.
        return otlp.response(signal, asked.request.headers.get("content-type", ""), 0, "")
    try:
        heard = await to_thread.run_sync(_heard, asked, signal, body)
    except RequestError as error:
        await asked.refuse_whole(body, error)
        raise
    refused = await _keep(asked, heard)
    asked.desk.meters.ack.add(monotonic() - began)
    return otlp.response(signal, body.media, *refused)


def _heard(asked: Asked, signal: Signal, body: Body) -> list[Heard]:
    """What the parts of a request say. Raises StageError where no answers are taken here."""
    upwell, limits = asked.desk.upwell, asked.desk.settings
    task = upwell.project.settings.project.task
    if not isinstance(plugin("tasks", task), Talking):
        raise StageError("serve.not_talking", task=task)
    parts = otlp.parts_of(signal, body, asked.parser)
    if len(parts) > limits.batch_events:
        raise RequestError("http.too_many", 413, longest=limits.batch_events)
    listener = Listener(task, datetime.now(UTC), asked.parser, asked.user_of)
    return [listener.heard(signal, part) for part in parts]


async def _keep(asked: Asked, heard: Sequence[Heard]) -> tuple[int, str]:
    """Store answers, then what is said of them; how many parts were refused, and why the first."""
    desk = asked.desk
    answers = [(place, one) for place, part in enumerate(heard) for one in part.answers]
    rows = [(place, row) for place, part in enumerate(heard) for row in part.rows]
    users = [row.get("user") for _, row in rows if not isinstance(row, Bad)]
    asked.spend(len(heard), [*(one.user for _, one in answers), *users])
    if answers:
        keep = partial(keep_heard, desk.upwell.project.journal, [one for _, one in answers])
        late = await desk.crew.run(keep)
        rows += [(answers[place][0], Bad("event.erased", "user", "", "")) for place in sorted(late)]
    kept = Kept(0, 0, {})
    if rows:
        kept = asked.counted(await desk.intake.keep([row for _, row in rows]))
    refused = {rows[place][0]: bad for place, bad in sorted(kept.refused.items(), reverse=True)}
    for place, part in enumerate(heard):
        said = "kept" if part.answers or part.rows else "ignored"
        desk.meters.spans["refused" if place in refused else said] += 1
    if refused:
        reason = told.message(refused[min(refused)], _LANG)
        return len(refused), say("http.otlp.refused", _LANG, count=len(refused), reason=reason)
    silent = sum(part.is_silent for part in heard)
    return 0, say("http.otlp.silent", _LANG, count=silent) if silent else ""


ROUTES = (
    Spec("POST", "/v1/traces", WRITE, traces, "http.route.traces",
         *telemetry("resourceSpans", "rejectedSpans"), accepts=ACCEPTED, speaks="otlp"),
    Spec("POST", "/v1/logs", WRITE, logs, "http.route.logs",
         *telemetry("resourceLogs", "rejectedLogRecords"), accepts=ACCEPTED, speaks="otlp"),
)  # fmt: skip
