"""The application: routes behind the gate, errors as sentences, CORS for pages that capture."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import count
from time import monotonic

from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from upwell.errors import StoreError, UpwellError
from upwell.interfaces.http import errors
from upwell.interfaces.http.desk import Asked, Desk, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.gate import is_local
from upwell.interfaces.http.pressure import busy
from upwell.interfaces.http.routes import specs
from upwell.interfaces.http.routes.openai import is_not_offered
from upwell.records import LONGEST_ID
from upwell.store.access import CAPTURE
from upwell.store.database import is_storable
from upwell.wiring.erasing import finish_begun

log = logging.getLogger("upwell.http")
Endpoint = Callable[[Request], Awaitable[Response]]
_CACHED_SECONDS = "600"
_ERASE_SECONDS = _NOTE_SECONDS = 1.0
_EXPIRE_SECONDS = 3600
_SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def application(desk: Desk) -> Starlette:
    """The service of ``desk`` as an ASGI application."""
    found = desk.specs = specs()
    routes: list[BaseRoute] = [
        Route(spec.path, partial(_answer, desk, spec), methods=[spec.method]) for spec in found
    ]
    captured = sorted({spec.path for spec in found if spec.need == CAPTURE})
    preflight = partial(_preflight, desk)
    routes += [Route(path, preflight, methods=["OPTIONS"]) for path in captured]
    app = Starlette(routes=routes, lifespan=partial(_lifespan, desk))
    app.add_exception_handler(HTTPException, partial(_unrouted, desk))
    return app


async def _answer(desk: Desk, spec: Spec, request: Request) -> Response:
    """One request from the gate to its answer; whatever goes wrong is told as an error."""
    lang = errors.spoken(request.headers.get("accept-language", ""))
    try:
        caller = await desk.gate.admit(request, spec.need)
        _check_path(request)
        desk.by_key.check(caller.public)
        if spec.need == CAPTURE and desk.intake.is_full:
            # Reading what must be refused would take time from what can be stored.
            raise busy()
        with desk.memory.share() as share:
            response = await spec.run(Asked(desk, request, caller, lang, share))
    except UpwellError as error:
        _note(desk, spec, error)
        response = errors.response(error, lang, spec.speaks)
    except ClientDisconnect:
        response = Response(status_code=499)
    except Exception as error:
        # The trace names code, not what users sent; the message could, so it is left out.
        log.error("%s %s: %s", spec.method, spec.path, type(error).__name__)
        log.debug("trace", exc_info=error)
        unexpected = RequestError("http.unexpected", 500, problem=type(error).__name__)
        response = errors.response(unexpected, lang, spec.speaks)
    desk.meters.answered[f"{spec.method} {spec.path}", str(response.status_code)] += 1
    response.headers.update(_SAFE)
    if spec.need == CAPTURE:
        response.headers.update(_shared_with(desk, request))
    return response


def _check_path(request: Request) -> None:
    """Raise RequestError 400 for a path that names what no database can hold."""
    for name, value in request.path_params.items():
        if not is_storable(str(value)):
            shown = ascii(str(value)[:40])[1:-1]
            raise RequestError("record.bad_id", 400, field=name, value=shown, longest=LONGEST_ID)


def _note(desk: Desk, spec: Spec, error: UpwellError) -> None:
    """Log what is wrong with the stores, once a second: every request meets the same."""
    is_ours = isinstance(error, StoreError) and errors.status_of(error) >= 500
    if is_ours and monotonic() - desk.noted >= _NOTE_SECONDS:
        desk.noted = monotonic()
        log.error("%s %s: %s", spec.method, spec.path, error)


async def _preflight(desk: Desk, request: Request) -> Response:
    """What a browser asks before a page of another site sends."""
    allowed = _shared_with(desk, request)
    if "Access-Control-Allow-Origin" in allowed:
        asked = request.headers.get("access-control-request-headers", "")
        allowed |= {
            "Access-Control-Allow-Methods": "POST, PUT",
            "Access-Control-Allow-Headers": asked if asked.isascii() else "content-type",
            "Access-Control-Max-Age": _CACHED_SECONDS,
        }
    return Response(status_code=204, headers=allowed)


def _shared_with(desk: Desk, request: Request) -> dict[str, str]:
    """CORS headers for a page whose site may send; a key is needed all the same."""
    headers = {"Vary": "Origin"}
    origin = request.headers.get("origin")
    known = desk.settings.origins
    if origin is not None and ("*" in known or origin in known or is_local(request)):
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = "Retry-After"
    return headers


async def _unrouted(desk: Desk, request: Request, error: Exception) -> Response:
    """Paths and methods that no route has."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    code = "http.no_route"
    if status == 405:
        code, headers["Allow"] = "http.no_method", ", ".join(_methods(request))
    path = request.url.path
    speaks = {spec.path: spec.speaks for spec in desk.specs}.get(path, "upwell")
    if status == 404 and is_not_offered(path):
        code, speaks = "openai.no_route", "openai"
    told = RequestError(code, status, headers, path=ascii(path[:80])[1:-1])
    lang = errors.spoken(request.headers.get("accept-language", ""))
    return errors.response(told, lang, speaks)


def _methods(request: Request) -> list[str]:
    """The methods of all routes with this path; the router itself tells those of the first one."""
    found = [route for route in request.app.routes if isinstance(route, Route)
             and route.matches(request.scope)[0] is not Match.NONE]  # fmt: skip
    return sorted({method for route in found for method in route.methods or ()})


@asynccontextmanager
async def _lifespan(desk: Desk, _: Starlette) -> AsyncIterator[None]:
    """Load what serves while requests are taken already; finish erasures that are begun."""
    beside = [asyncio.create_task(_warm(desk)), asyncio.create_task(_forget(desk))]
    yield
    for task in beside:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _warm(desk: Desk) -> None:
    try:
        await to_thread.run_sync(desk.upwell.warm, abandon_on_cancel=True)
    except Exception as error:
        # Foreseen errors say what to do; what others say could be what users sent.
        told = error if isinstance(error, UpwellError) else type(error).__name__
        log.error("the model that serves cannot be loaded: %s", told)


async def _forget(desk: Desk) -> None:
    """Look every second whether somebody is to be forgotten, every hour for what is past its time.

    Then do what is left to do.
    """
    for second in count():
        await asyncio.sleep(_ERASE_SECONDS)
        is_due = second % _EXPIRE_SECONDS == 0
        try:
            await to_thread.run_sync(finish_begun, desk.upwell.project, datetime.now(UTC), is_due)
        except Exception as error:
            log.error("an erasure waits: %s", type(error).__name__)
