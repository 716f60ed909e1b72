"""``upwell restore``: a project made again from a backup, less who was forgotten since."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Here, Line
from upwell.records import Json
from upwell.wiring.backup import restore


def run(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="cli.restore.file")],
    keys: Annotated[Path, typer.Option("--keys", help="cli.restore.keys")],
    to: Annotated[Path, typer.Option("--to", help="cli.restore.to")],
) -> Answer:
    """The folder must not hold a project yet."""
    here: Here = context.obj
    made = restore(file, keys, to)
    here.held.callback(made.project.journal.close)
    counts = {"users": made.users, "rows": made.rows, "models": made.models}
    lines: list[Line] = [here.say("cli.restore.done", folder=to, **counts)]
    if made.forgotten:
        lines.append(here.say("cli.restore.forgotten", n=made.forgotten))
    told: dict[str, Json] = {"folder": str(to), **counts, "forgotten": made.forgotten}
    return Answer(told, lines)
