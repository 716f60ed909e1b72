"""What is known of one user or one item, in Gorse's shape: told, and changed in part.

Facts are events, and the latest holds. A change takes the latest, changes what it names and states
the whole as a new fact; one change at a time, so that none is lost between two that come together.
An item is deleted by the fact that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from starlette.responses import JSONResponse, Response

from upwell.interfaces.http import told
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import table_of
from upwell.interfaces.http.intake import Kept
from upwell.interfaces.http.schemas import AFFECTED, GORSE_ITEM, GORSE_ITEM_TOLD, GORSE_USER
from upwell.interfaces.http.shapes import gorse
from upwell.store.access import READ, WRITE
from upwell.store.database import in_turn
from upwell.store.latest import Fact, latest_fact

About = Literal["user", "item"]
Stating: TypeAlias = Callable[[Fact | None], Mapping[str, object] | None]
"""From the latest fact to the one that is to be stated, without its time, if any is."""


def _shown(about: About) -> Callable[[Asked], Any]:
    """A route that tells what is known of one."""

    async def show(asked: Asked) -> Response:
        named = str(asked.request.path_params[about])
        journal = asked.desk.upwell.project.journal
        found = await asked.desk.crew.run(lambda: latest_fact(journal, about, named))
        if found is None or _is_deleted(about, found):
            raise _unknown(named)
        return JSONResponse(gorse.shown(about, named, found.payload))

    return show


def _patched(about: About) -> Callable[[Asked], Any]:
    """A route that changes a part of what is known of one, or states it where nothing is."""

    async def patch(asked: Asked) -> Response:
        named, sent = str(asked.request.path_params[about]), await asked.mapping()
        for name in sent:
            if name not in gorse.PATCHES[about]:
                raise RequestError("http.unknown_field", 400, field=name[:80], value="")
        if not gorse.is_flag(sent):
            raise RequestError("http.yes_or_no", 400, field="IsHidden")

        def changed(fact: Fact | None) -> Mapping[str, object]:
            known = {} if fact is None or _is_deleted(about, fact) else fact.payload
            return gorse.patched(about, named, known, sent)

        return await _stated(asked, about, named, changed)

    return patch


async def _deleted(asked: Asked) -> Response:
    """Hide an item until it is stated again; what was done with it is kept.

    404 where no fact tells of it; where it is deleted already, no row is affected.
    """
    named = str(asked.request.path_params["item"])

    def gone(fact: Fact | None) -> Mapping[str, object] | None:
        if fact is None:
            raise _unknown(named)
        return None if _is_deleted("item", fact) else gorse.deleted(named)

    return await _stated(asked, "item", named, gone)


def _is_deleted(about: About, fact: Fact) -> bool:
    return about == "item" and gorse.is_deleted(fact.payload)


def _unknown(named: str) -> RequestError:
    return RequestError("http.unknown_id", 404, id=ascii(named[:80])[1:-1])


async def _stated(asked: Asked, about: About, named: str, made: Stating) -> Response:
    """State the fact that ``made`` makes of the latest one, if it makes any."""
    asked.spend(1, [named])
    kept = await asked.desk.crew.run(lambda: _kept(asked, about, named, made))
    asked.counted(kept)
    told.single(kept, asked.lang)
    return JSONResponse({"RowAffected": kept.accepted})


def _kept(asked: Asked, about: About, named: str, made: Stating) -> Kept:
    upwell = asked.desk.upwell
    with in_turn(upwell.project.journal.engine):
        fact = latest_fact(upwell.project.journal, about, named)
        now, row = datetime.now(UTC), made(fact)
        if row is None:
            return Kept(0, 0, {})
        # A fact may have a time that has not come; what is stated now holds all the same.
        at = max(now, fact.at) if fact and fact.at else now
        receipt = upwell.capture(table_of([{**row, "at": at}]), source=gorse.SOURCE, now=now)
    return Kept(receipt.accepted, receipt.duplicates, dict(enumerate(receipt.refused)))


_USER, _ITEM = "/api/user/{user:path}", "/api/item/{item:path}"
ROUTES = (
    Spec("GET", _USER, READ, _shown("user"), "http.route.gorse_user_get", answer=GORSE_USER),
    Spec("GET", _ITEM, READ, _shown("item"), "http.route.gorse_item_get",
         answer=GORSE_ITEM_TOLD),
    Spec("PATCH", _USER, WRITE, _patched("user"), "http.route.gorse_user_patch",
         gorse.part_of(GORSE_USER, "UserId"), AFFECTED),
    Spec("PATCH", _ITEM, WRITE, _patched("item"), "http.route.gorse_item_patch",
         gorse.part_of(GORSE_ITEM, "ItemId"), AFFECTED),
    Spec("DELETE", _ITEM, WRITE, _deleted, "http.route.gorse_item_delete", answer=AFFECTED),
)  # fmt: skip
