"""``upwell list``: the plugins that are there."""

from __future__ import annotations

from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Grid, Here
from upwell.interfaces.cli.kinds import chosen
from upwell.plugins import locations


def run(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="cli.list.kind")] = None,
) -> Answer:
    """Names and modules, without importing any plugin."""
    here: Here = context.obj
    found = {one: locations(one) for one in chosen(kind)}
    rows = [(one, name, module) for one, known in found.items() for name, module in known.items()]
    heads = [here.say(f"cli.list.{key}") for key in ("kind_head", "name", "module")]
    return Answer({one: dict(known) for one, known in found.items()}, [Grid(heads, rows)])
