"""``upwell backup``: the project in one file, each user's data closed with their own key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Answer, Here
from upwell.interfaces.cli.opened import opened
from upwell.wiring.backup import backup


def run(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="cli.backup.file")],
) -> Answer:
    """A file that exists is not written over."""
    here: Here = context.obj
    project = opened(here)
    if file.exists():
        raise InterfaceError("cli.export_exists", file=file)
    made = backup(project, file, datetime.now(UTC))
    keys = project.keys
    return Answer(
        {"file": str(file), "keys": str(keys), **made},
        [here.say("cli.backup.done", file=file, **made), here.say("cli.backup.keys", folder=keys)],
    )
