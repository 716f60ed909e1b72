"""``upwell serve``: events in, answers out, over HTTP."""

from __future__ import annotations

import json
import logging
import secrets
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Answer, Here
from upwell.interfaces.cli.opened import opened
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.access import ADMIN, RANDOM_BYTES, Access
from upwell.store.project import Project

try:
    from upwell.interfaces.http import server
    from upwell.interfaces.http.desk import Desk
    from upwell.interfaces.http.gate import is_loopback
except ModuleNotFoundError as error:
    raise InterfaceError("http.extra", problem=error.name) from None


def run(
    context: typer.Context,
    host: Annotated[str | None, typer.Option("--host", help="cli.serve.host")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="cli.serve.port")
    ] = None,
) -> Answer:
    """It runs until it is told to stop, which is no failure: code 0."""
    here: Here = context.obj
    project = opened(here)
    chosen = {"host": host, "port": port}
    settings = project.settings.http.model_copy(
        update={name: value for name, value in chosen.items() if value is not None}
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    bound = server.listen(settings)
    address = bound.getsockname()
    keyless = is_loopback(str(address[0])) and settings.keys == "auto"
    if not keyless:
        _first_key(project, here)
    desk = Desk.of(Upwell(project), settings if keyless else _with_keys(settings))
    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{name}:{address[1]}"
    server.serve(desk, bound, lambda: _tell(here, url, keyless))
    if not here.json:
        print(here.say("cli.serve.stopped"))
    return Answer({}, [])


def _with_keys(settings: HttpSettings) -> HttpSettings:
    """Whoever can be reached from elsewhere asks this machine for a key too."""
    return settings.model_copy(update={"keys": "always"})


def _first_key(project: Project, here: Here) -> None:
    """A service that others can reach needs a key: on a terminal the first one is made and shown.

    Elsewhere it would end in a log, so it is refused.
    """
    access, now = Access(project.journal), datetime.now(UTC)
    if any(key.is_valid(now) for key in access.all()):
        return
    if here.json or not sys.stdout.isatty():
        raise InterfaceError("http.needs_key")
    text, _ = access.create("first", [ADMIN], now, None, secrets.token_bytes(RANDOM_BYTES))
    print(here.say("cli.keys.shown_once", key=text))


def _tell(here: Here, url: str, keyless: bool) -> None:
    if here.json:
        print(json.dumps({"url": url, "keys": not keyless}), flush=True)
        return
    print(here.say("cli.serve.listens", url=url), flush=True)
    print(here.say("cli.serve.keyless" if keyless else "cli.serve.with_keys"), flush=True)
