"""``upwell rollback``: back to the version that served before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell.interfaces.cli.by_hand import before, decide
from upwell.interfaces.cli.here import Answer, Here
from upwell.interfaces.cli.opened import opened


def run(
    context: typer.Context,
    version: Annotated[str | None, typer.Argument(help="cli.rollback.version")] = None,
    force: Annotated[bool, typer.Option("--force", help="cli.purge.force")] = False,
) -> Answer:
    """Without a version, the last one that served and is not the present one."""
    here: Here = context.obj
    project = opened(here)
    target = version or before(project)
    return decide(project, "rollback", target, datetime.now(UTC), here, force=force)
