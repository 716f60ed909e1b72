"""``upwell purge``: after an attack, whose events no longer count, and which models it reached."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.by_hand import document
from upwell.interfaces.cli.commands import turn as turns
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.records import Json
from upwell.store.exclusions import What
from upwell.store.project import Project
from upwell.wiring.purge import Purged, purge


def run(
    context: typer.Context,
    user: Annotated[str, typer.Option("--user", help="cli.purge.user")] = "",
    source: Annotated[str, typer.Option("--source", help="cli.purge.source")] = "",
    reason: Annotated[str, typer.Option("--reason", help="cli.purge.reason")] = "",
    turn: Annotated[bool, typer.Option("--turn", help="cli.purge.turn")] = False,
) -> Answer:
    """Nothing of other users is lost; doing it again changes nothing."""
    here: Here = context.obj
    if bool(user) == bool(source):
        raise InterfaceError("cli.purge_what")
    what: What = "user" if user else "source"
    project = opened(here)
    done = purge(project, what, user or source, reason, datetime.now(UTC))
    told, lines = _told(project, done, user or source, here)
    if not turn:
        return Answer(told, [*lines, here.say("cli.purge.next")])
    after = turns.run(context)
    return Answer({**told, "turn": after.document}, [*lines, "", *after.lines])


def _told(
    project: Project, done: Purged, name: str, here: Here
) -> tuple[dict[str, Json], list[Line]]:
    champion = project.ledger.champion(project.settings.project.task)
    serving = champion.id if champion else None
    key = "cli.purge.done" if done.is_new else "cli.purge.again"
    what = here.say(f"cli.purge.{done.exclusion.what}_named", name=name)
    since = f"{done.exclusion.at:%Y-%m-%d %H:%M} UTC"
    lines: list[Line] = [here.say(key, what=what, events=done.events, since=since)]
    if done.tainted:
        heads = [here.say(f"cli.models.{key}") for key in ("version", "serves")]
        heads.insert(1, here.say("cli.purge.rows"))
        yes = here.say("cli.models.yes")
        cells = [
            (version, "?" if rows is None else f"{rows:,}", yes if version == serving else "")
            for version, rows in done.tainted.items()
        ]
        lines += [here.say("cli.purge.tainted", n=len(cells)), Grid(heads, cells)]
    else:
        lines.append(here.say("cli.purge.clean"))
    told: dict[str, Json] = {
        "exclusion": document(done.exclusion),
        "is_new": done.is_new,
        "events": done.events,
        "tainted": dict(done.tainted),
        "champion": serving,
    }
    return told, lines
