"""``upwell keys``: who may send to ``upwell serve`` and who may ask it."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Answer, Grid, Here
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.progress import Bars
from upwell.records import Json
from upwell.store.access import RANDOM_BYTES, Access, ApiKey
from upwell.wiring.rotating import rotate, to_rotate

COLUMNS = ("public", "name", "scopes", "since", "until", "state")


def run(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="cli.keys.what")] = "list",
    name: Annotated[str | None, typer.Argument(help="cli.keys.named")] = None,
    scope: Annotated[list[str] | None, typer.Option("--scope", help="cli.keys.scope")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="cli.keys.days")] = None,
    overlap: Annotated[int, typer.Option("--overlap", min=0, help="cli.keys.overlap")] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli.keys.dry_run")] = False,
) -> Answer:
    """``create NAME``, ``list``, ``revoke KEY``, ``rotate KEY``; KEY is its twelve characters.

    ``rotate-pseudonyms`` is about the key that hides users in what is stored.
    """
    here: Here = context.obj
    if what == "rotate-pseudonyms" and name is None:
        return _pseudonyms_rotated(here, dry_run)
    access, now = Access(opened(here).journal), datetime.now(UTC)
    until = now + timedelta(days=days) if days else None
    if what == "list" and name is None:
        return _listed(access, now, here)
    if name is None or what not in ("create", "revoke", "rotate"):
        raise InterfaceError("cli.keys_what", what=what)
    if what == "create":
        return _made(access, name, scope or ["write"], now, until, here)
    if what == "revoke":
        ended = access.end(_public(name), now)
        said = here.say("cli.keys.revoked", name=ended.name, public=ended.public)
        return Answer({"key": _document(ended, now)}, [said])
    return _rotated(access, _public(name), now, until, timedelta(hours=overlap), here)


def _made(
    access: Access, name: str, scopes: list[str], now: datetime, until: datetime | None, here: Here
) -> Answer:
    text, made = access.create(name, scopes, now, until, secrets.token_bytes(RANDOM_BYTES))
    document: dict[str, Json] = {"secret": text, "key": _document(made, now)}
    return Answer(document, [here.say("cli.keys.shown_once", key=text)])


def _rotated(
    access: Access,
    public: str,
    now: datetime,
    until: datetime | None,
    overlap: timedelta,
    here: Here,
) -> Answer:
    """A new key with the scopes of the old one, which goes on for a while."""
    old = access.named(public)
    answer = _made(access, old.name, list(old.scopes), now, until, here)
    ended = access.end(public, now + overlap)
    told = here.say("cli.keys.rotated", public=public, until=_time(ended.until))
    return Answer({**answer.document, "old": _document(ended, now)}, [*answer.lines, told])


def _pseudonyms_rotated(here: Here, dry_run: bool) -> Answer:
    """Other pseudonyms for everybody, or how many rows that would be."""
    project = opened(here, rotating=not dry_run)
    if dry_run:
        rows = to_rotate(project)
        told: dict[str, Json] = {"rows": dict(rows), "dry_run": True}
        return Answer(told, [here.say("cli.keys.would_rewrite", **rows)])
    with Bars(here) as bars:
        done = rotate(project, datetime.now(UTC), bars)
    lines = [here.say("cli.keys.resumed")] if done.resumed else []
    lines.append(here.say("cli.keys.rewritten", **done.rows))
    lines.append(here.say("cli.keys.copy_again", folder=project.keys))
    told = {"rows": dict(done.rows), "dry_run": False, "resumed": done.resumed}
    return Answer(told, lines)


def _listed(access: Access, now: datetime, here: Here) -> Answer:
    found = access.all()
    if not found:
        return Answer({"keys": []}, [here.say("cli.keys.none")])
    heads = [here.say(f"cli.keys.{column}") for column in COLUMNS]
    cells = [
        (key.public, key.name, ", ".join(key.scopes), _time(key.since), _time(key.until),
         here.say("cli.keys.valid" if key.is_valid(now) else "cli.keys.ended"))
        for key in found
    ]  # fmt: skip
    return Answer({"keys": [_document(key, now) for key in found]}, [Grid(heads, cells)])


def _public(text: str) -> str:
    """The public part of a key, given alone or as a part of the whole."""
    return text.split("-")[1] if text.startswith("up-") else text


def _document(key: ApiKey, now: datetime) -> Json:
    return {
        "public": key.public,
        "name": key.name,
        "scopes": list(key.scopes),
        "since": key.since.isoformat(),
        "until": key.until.isoformat() if key.until else None,
        "valid": key.is_valid(now),
    }


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "–"
