"""``upwell init``: a new project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Here
from upwell.settings import FILE
from upwell.store.project import create_project


def run(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="cli.init.folder")] = None,
    name: Annotated[str | None, typer.Option(help="cli.init.name")] = None,
) -> Answer:
    """Write ``upwell.toml``; data folders are made when they are first needed."""
    here: Here = context.obj
    place = (folder or here.project or Path()).resolve()
    called = name or place.name.lower()
    create_project(place, called)
    lines = [
        here.say("cli.init.done", name=called, folder=place),
        here.say("cli.init.next", folder=place),
    ]
    return Answer({"folder": str(place), "name": called, "settings": str(place / FILE)}, lines)
