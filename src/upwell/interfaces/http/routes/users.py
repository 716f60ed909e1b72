"""A user's own data: all of it to take along, and all of it forgotten, with a receipt."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.schemas import AFFECTED, RECEIPT
from upwell.interfaces.portrait import portrait, write
from upwell.service import new_id
from upwell.store.access import ADMIN
from upwell.store.erasures import Erasure, Erasures
from upwell.wiring.erasing import forget, signed_receipt

ZIP = "application/zip"


async def forgotten(asked: Asked) -> Response:
    """Forget a user; the rows are gone, the rest goes within seconds. 404 for an unknown one.

    Asking again answers the same receipt, as it stands by then.
    """
    return await asked.desk.crew.run(lambda: _receipt(asked, _forget(asked)))


async def erasure(asked: Asked) -> Response:
    """The receipt of an erasure, as it stands."""
    return await asked.desk.crew.run(lambda: _found(asked))


async def exported(asked: Asked) -> Response:
    """All that is held of a user, as a zip."""
    return await asked.desk.crew.run(lambda: _zip(asked))


async def gorse_forgotten(asked: Asked) -> Response:
    """The same in Gorse's shape."""
    await asked.desk.crew.run(lambda: _forget(asked))
    return JSONResponse({"RowAffected": 1})


def _forget(asked: Asked) -> Erasure:
    now = datetime.now(UTC)
    return forget(asked.desk.upwell.project, _user(asked), id=new_id(now), now=now)


def _user(asked: Asked) -> str:
    return str(asked.request.path_params["user"])


def _receipt(asked: Asked, found: Erasure) -> Response:
    where = {"Location": f"/v1/erasures/{found.id}"}
    return JSONResponse(dict(signed_receipt(asked.desk.upwell.project, found)), 202, where)


def _found(asked: Asked) -> Response:
    project = asked.desk.upwell.project
    found = Erasures(project.journal).find(str(asked.request.path_params["id"]))
    if found is None:
        raise RequestError("http.no_erasure", 404)
    return JSONResponse(dict(signed_receipt(project, found)))


def _zip(asked: Asked) -> Response:
    held = portrait(asked.desk.upwell.project, _user(asked), datetime.now(UTC))
    packed = io.BytesIO()
    write(held, packed)
    name = {"Content-Disposition": 'attachment; filename="user.zip"'}
    return Response(packed.getvalue(), media_type=ZIP, headers=name)


ROUTES = (
    Spec("DELETE", "/v1/users/{user:path}", ADMIN, forgotten, "http.route.forget",
         answer=RECEIPT, statuses=(202,)),
    Spec("GET", "/v1/users/{user:path}", ADMIN, exported, "http.route.export", gives=(ZIP,)),
    Spec("GET", "/v1/erasures/{id}", ADMIN, erasure, "http.route.erasure", answer=RECEIPT),
    Spec("DELETE", "/api/user/{user:path}", ADMIN, gorse_forgotten, "http.route.forget",
         answer=AFFECTED),
)  # fmt: skip
