"""About the service itself: whether it lives and is ready, what it counts, how it is asked."""

from __future__ import annotations

from collections.abc import Mapping

from anyio import to_thread
from sqlalchemy import literal, select
from starlette.responses import HTMLResponse, JSONResponse, Response

from upwell.interfaces.http import openapi
from upwell.interfaces.http.desk import Asked, Desk, Spec
from upwell.interfaces.http.gate import OPEN
from upwell.interfaces.http.meters import MEDIA
from upwell.interfaces.http.schemas import FREE, shape
from upwell.interfaces.sdk.browser import snippet
from upwell.store.access import READ
from upwell.store.database import reading


async def live(asked: Asked) -> Response:
    """Whether the process answers."""
    return JSONResponse({"live": True})


async def ready(asked: Asked) -> Response:
    """Whether events would be stored: 503 while the service stops or the journal is out of reach.

    Raises StoreError where the journal cannot be read.
    """
    if asked.desk.is_stopping:
        return JSONResponse({"ready": False}, 503, {"Retry-After": "5"})
    model = await to_thread.run_sync(_serving, asked.desk)
    return JSONResponse({"ready": True, "model": model})


async def metrics(asked: Asked) -> Response:
    """Counters and gauges for Prometheus."""
    gauges = await to_thread.run_sync(_gauges, asked.desk)
    return Response(asked.desk.meters.text(gauges), media_type=MEDIA)


async def described(asked: Asked) -> Response:
    """The OpenAPI description, in the asker's language."""
    return JSONResponse(openapi.document(asked.desk.specs, asked.lang))


async def docs(asked: Asked) -> Response:
    """The same for people: one page that loads nothing."""
    return HTMLResponse(openapi.page(asked.desk.specs, asked.lang), headers=openapi.PAGE_HEADERS)


async def script(asked: Asked) -> Response:
    """The snippet for browsers."""
    return Response(snippet(), media_type="text/javascript")


def _serving(desk: Desk) -> str | None:
    project = desk.upwell.project
    with reading(project.journal.engine) as connection:
        connection.execute(select(literal(1))).scalar_one()
    champion = project.ledger.champion(project.settings.project.task)
    return champion.id if champion else None


def _gauges(desk: Desk) -> Mapping[str, float]:
    """How things stand now; the turn's state is 1 while one is unfinished."""
    project = desk.upwell.project
    unfinished = project.ledger.unfinished_turn(project.settings.project.task)
    return {
        "upwell_turn_state": float(unfinished is not None),
        "upwell_waiting_requests": float(desk.intake.length + desk.questions.length),
        "upwell_waiting_bytes": float(desk.memory.held),
        "upwell_answers_begun": float(desk.crew.begun + desk.talkers.begun),
    }


_LIVE, _READY = shape("live", False, live={}), shape("ready", False, ready={})
ROUTES = (
    Spec("GET", "/health/live", OPEN, live, "http.route.live", answer=_LIVE),
    Spec("GET", "/health/ready", OPEN, ready, "http.route.ready", answer=_READY),
    Spec("GET", "/api/health/live", OPEN, live, "http.route.live", answer=_LIVE),
    Spec("GET", "/api/health/ready", OPEN, ready, "http.route.ready", answer=_READY),
    Spec("GET", "/metrics", READ, metrics, "http.route.metrics", gives=("text/plain",)),
    Spec("GET", "/openapi.json", OPEN, described, "http.route.openapi", answer=FREE),
    Spec("GET", "/docs", OPEN, docs, "http.route.docs", gives=("text/html",)),
    Spec("GET", "/upwell.js", OPEN, script, "http.route.script", gives=("text/javascript",)),
)
