"""``upwell bad-rows``: what intake refused and why, and trying it again once it is mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.commands.import_ import mapping_of
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.records import Event, Json
from upwell.store.project import Project
from upwell.store.refused import Chosen, count, read
from upwell.tables import schema
from upwell.wiring.refused import Replayed, Row, fixable, replay, shown
from upwell.words import retold

COLUMNS = ("seq", "at", "source", "code", "field", "reason")
_WIDE = 100
_FIELDS = frozenset(schema(Event).names)
_INSIDE = ("input", "target", "correction")
"""What stands in the payload, under whatever name a row has it."""


def run(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="cli.bad-rows.what")] = "list",
    code: Annotated[str, typer.Option("--code", help="cli.bad-rows.code")] = "",
    source: Annotated[str, typer.Option("--source", help="cli.bad-rows.source")] = "",
    after: Annotated[int, typer.Option("--after", min=0, help="cli.bad-rows.after")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="cli.bad-rows.limit")] = 20,
    rows: Annotated[bool, typer.Option("--rows", help="cli.bad-rows.rows")] = False,
    map: Annotated[
        list[str] | None,
        typer.Option("--map", "-m", metavar="FIELD=COLUMN", help="cli.bad-rows.map"),
    ] = None,
    as_received: Annotated[
        bool, typer.Option("--as-received", help="cli.bad-rows.received")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli.bad-rows.dry_run")] = False,
) -> Answer:
    """``list``, a page at a time, or ``replay``."""
    here: Here = context.obj
    chosen = Chosen(code, source)
    if what == "list":
        return _listed(opened(here), chosen, after, limit, rows, here)
    if what != "replay":
        raise InterfaceError("cli.bad_rows_what", what=what)
    mapping = mapping_of(map or ())
    project, now = opened(here), datetime.now(UTC)
    again = fixable if dry_run else replay
    found = again(project, lambda row: mended(row, mapping), now, chosen, as_received=as_received)
    return _told(found, dry_run, here)


def mended(row: Row, mapping: Mapping[str, str]) -> Row:
    """A row whose fields are taken as ``upwell import --map`` takes columns.

    >>> mended({"id": "1", "itme": "i", "page": 2}, {"item": "itme", "kind": "=click"})
    {'id': '1', 'page': 2, 'item': 'i', 'kind': 'click'}
    >>> mended({"id": "1", "page": 2, "label": "a"}, {"payload": "*", "target": "label"})
    {'id': '1', 'payload': {'page': 2, 'target': 'a'}}
    """
    found = dict(row)
    for field, column in mapping.items():
        if column.startswith("="):
            found[field] = column[1:]
        elif field == "payload" and (column == "*" or "+" in column):
            continue
        elif column in found:
            found[field] = found.pop(column)
    gathered = mapping.get("payload", "")
    inside = found.keys() - _FIELDS if gathered == "*" else {*_INSIDE, *gathered.split("+")}
    moved = {name: found.pop(name) for name in sorted(inside & found.keys() - _FIELDS)}
    if moved:
        given = found.get("payload")
        found["payload"] = {**(given if isinstance(given, dict) else {}), **moved}
    return found


def _listed(
    project: Project, chosen: Chosen, after: int, limit: int, whole: bool, here: Here
) -> Answer:
    by_reason = count(project.journal, chosen)
    page = shown(project, read(project.journal, chosen, after, limit)).to_pylist()
    following = page[-1]["seq"] if len(page) == limit else None
    listed: list[Json] = [{**row, "at": row["at"].isoformat()} for row in page]
    total = sum(by_reason.values())
    counts: list[Json] = [
        {"code": code, "field": field, "rows": n}
        for (code, field), n in sorted(by_reason.items(), key=lambda one: -one[1])
    ]
    document: dict[str, Json] = {
        "total": total,
        "counts": counts,
        "rows": listed,
        "next": following,
    }
    if not page:
        return Answer(document, [here.say("cli.bad-rows.none")])
    names = (*COLUMNS, "raw") if whole else COLUMNS
    heads = [here.say(f"cli.bad-rows.head.{name}") for name in names]
    lines: list[Line] = [
        here.say("cli.bad-rows.total", n=total),
        Grid(heads, [[_cell(row[name]) for name in names] for row in _retold(page, here)]),
    ]
    if following is not None:
        lines += ["", here.say("cli.bad-rows.more_rows", after=following)]
    return Answer(document, [*lines, "", here.say("cli.bad-rows.next")])


def _retold(page: Sequence[Row], here: Here) -> list[Row]:
    """The rows, their reasons in the language that was asked for: they are kept in English."""
    return [
        {**row, "reason": retold(f"error.{row['code']}.what", row["reason"], here.lang)}
        for row in page
    ]


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)[:_WIDE]


def _told(found: Replayed, dry_run: bool, here: Here) -> Answer:
    counts = asdict(found)
    heads = [here.say(f"cli.bad-rows.count.{name}") for name in counts]
    lines: list[Line] = [Grid(heads, [[f"{n:,}" for n in counts.values()]])]
    if dry_run:
        lines += ["", here.say("cli.import.dry")]
    return Answer({**counts, "dry_run": dry_run}, lines)
