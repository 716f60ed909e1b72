"""What is known of one user or one item, in Gorse's shape: told, and changed in part.

Facts are events, and the latest holds. A change takes the latest, changes what it names and states
the whole as a new fact; one change at a time, so that none is lost between two that come together.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http import told
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import table_of
from upwell.interfaces.http.intake import Kept
from upwell.interfaces.http.schemas import AFFECTED, GORSE_ITEM, GORSE_USER
from upwell.interfaces.http.shapes import gorse
from upwell.store.access import READ, WRITE
from upwell.store.database import in_turn
from upwell.store.latest import latest_fact

About = Literal["user", "item"]


def _shown(about: About) -> Callable[[Asked], Any]:
    """A route that tells what is known of one."""

    async def show(asked: Asked) -> Response:
        named = str(asked.request.path_params[about])
        journal = asked.desk.upwell.project.journal
        # PostgreSQL cannot even be asked for a NUL, and no id holds one.
        fact = None if "\x00" in named else await asked.desk.crew.run(
            lambda: latest_fact(journal, about, named)
        )  # fmt: skip
        if fact is None:
            raise RequestError("http.unknown_id", 404, id=ascii(named[:80])[1:-1])
        return JSONResponse(gorse.shown(about, named, fact))

    return show


def _patched(about: About) -> Callable[[Asked], Any]:
    """A route that changes a part of what is known of one, or states it where nothing is."""

    async def patch(asked: Asked) -> Response:
        named, sent = str(asked.request.path_params[about]), await asked.mapping()
        for name in sent:
            if name not in gorse.PATCHES[about]:
                raise RequestError("http.unknown_field", 400, field=name[:80], value="")
        asked.spend(1, [named])
        kept = await asked.desk.crew.run(lambda: _stated(asked, about, named, sent))
        asked.counted(kept)
        told.single(kept, asked.lang)
        return JSONResponse({"RowAffected": kept.accepted})

    return patch


def _stated(asked: Asked, about: About, named: str, sent: dict[str, object]) -> Kept:
    upwell = asked.desk.upwell
    journal = upwell.project.journal
    with in_turn(journal.engine):
        # An id that no record can have is left to intake, which says why.
        fact = None if "\x00" in named else latest_fact(journal, about, named)
        now = datetime.now(UTC)
        row = {**gorse.patched(about, named, fact or {}, sent), "at": now}
        receipt = upwell.capture(table_of([row]), source=gorse.SOURCE, now=now)
    return Kept(receipt.accepted, receipt.duplicates, dict(enumerate(receipt.refused)))


_USER, _ITEM = "/api/user/{user:path}", "/api/item/{item:path}"
ROUTES = (
    Spec("GET", _USER, READ, _shown("user"), "http.route.gorse_user_get", answer=GORSE_USER),
    Spec("GET", _ITEM, READ, _shown("item"), "http.route.gorse_item_get", answer=GORSE_ITEM),
    Spec("PATCH", _USER, WRITE, _patched("user"), "http.route.gorse_user_patch",
         gorse.part_of(GORSE_USER, "UserId"), AFFECTED),
    Spec("PATCH", _ITEM, WRITE, _patched("item"), "http.route.gorse_item_patch",
         gorse.part_of(GORSE_ITEM, "ItemId"), AFFECTED),
)  # fmt: skip
