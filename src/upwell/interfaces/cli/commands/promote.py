"""``upwell promote``: let a version serve, by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell.interfaces.cli.by_hand import decide
from upwell.interfaces.cli.here import Answer, Here
from upwell.interfaces.cli.opened import opened


def run(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="cli.promote.version")],
    force: Annotated[bool, typer.Option("--force", help="cli.purge.force")] = False,
) -> Answer:
    """The decision is recorded with its reason, like every other."""
    here: Here = context.obj
    return decide(opened(here), "promote", version, datetime.now(UTC), here, force=force)
