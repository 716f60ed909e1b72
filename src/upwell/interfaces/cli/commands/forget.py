"""``upwell forget``: a user asks to be forgotten; a signed receipt says what was done."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.commands import turn as turns
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.records import Json
from upwell.service import new_id
from upwell.store.erasures import Erasure, Erasures
from upwell.store.project import Project
from upwell.store.receipts import Signed, is_genuine
from upwell.wiring.erasing import finish_begun, forget, signed_receipt, signer


def run(
    context: typer.Context,
    user: Annotated[str | None, typer.Argument(help="cli.forget.user")] = None,
    turn: Annotated[bool, typer.Option("--turn", help="cli.forget.turn")] = False,
    status: Annotated[str, typer.Option("--status", help="cli.forget.status")] = "",
    verify: Annotated[Path | None, typer.Option("--verify", help="cli.forget.verify")] = None,
) -> Answer:
    """Without a user, the erasures so far. Code 1 where a receipt is not genuine."""
    here: Here = context.obj
    project, now = opened(here), datetime.now(UTC)
    if verify is not None:
        return _verified(project, verify, here)
    if user is None:
        return _told(project, status, here) if status else _listed(project, here)
    made = forget(project, user, id=new_id(now), now=now)
    is_finished = finish_begun(project, now)
    answer = _told(project, made.id, here)
    if not is_finished:
        return Answer(answer.document, [*answer.lines, here.say("cli.forget.waits")])
    if not turn:
        return answer
    after = turns.run(context)
    done = _told(project, made.id, here)
    return Answer({**done.document, "turn": after.document}, [*after.lines, "", *done.lines])


def _told(project: Project, id: str, here: Here) -> Answer:
    found = Erasures(project.journal).find(id)
    if found is None:
        raise InterfaceError("cli.no_erasure", id=id[:64])
    signed = signed_receipt(project, found)
    return Answer({"user": found.user, **signed}, _lines(found, signed, here))


def _lines(found: Erasure, signed: Signed, here: Here) -> list[Line]:
    receipt: Any = signed["receipt"]
    lines: list[Line] = [
        here.say(f"cli.forget.{found.state}"),
        here.say("cli.forget.removed", **{"lake": 0, "snapshots": 0, **found.counts}),
    ]
    if receipt["models"]:
        heads = [here.say(f"cli.models.{key}") for key in ("version", "serves")]
        heads.insert(1, here.say("cli.purge.rows"))
        yes = here.say("cli.models.yes")
        cells = [
            (one["version"], "?" if one["rows"] is None else f"{one['rows']:,}",
             yes if one["serves"] else "")
            for one in receipt["models"]
        ]  # fmt: skip
        lines += [here.say("cli.forget.models"), Grid(heads, cells)]
    return [*lines, here.say("cli.forget.receipt", id=found.id)]


def _listed(project: Project, here: Here) -> Answer:
    found = Erasures(project.journal).all()
    if not found:
        return Answer({"erasures": []}, [here.say("cli.forget.none")])
    heads = [here.say(f"cli.forget.{key}") for key in ("id", "asked", "state")]
    cells = [
        (one.id, f"{one.asked:%Y-%m-%d %H:%M} UTC", here.say(f"cli.forget.state_{one.state}"))
        for one in found
    ]
    told: list[Json] = [dict(signed_receipt(project, one)) for one in found]
    return Answer({"erasures": told}, [Grid(heads, cells)])


def _verified(project: Project, path: Path, here: Here) -> Answer:
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InterfaceError("cli.no_receipt", file=path) from error
    if not isinstance(told, dict):
        raise InterfaceError("cli.no_receipt", file=path)
    genuine = is_genuine(told, signer(project))
    key = "cli.forget.genuine" if genuine else "cli.forget.forged"
    return Answer({"genuine": genuine}, [here.say(key)], 0 if genuine else 1)
