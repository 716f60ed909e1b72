"""``upwell turn``: learn from what is new, prove it, serve it if better."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell import loop
from upwell.errors import InterfaceError
from upwell.interfaces.cli.by_hand import document, told
from upwell.interfaces.cli.here import Answer, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.progress import Bars
from upwell.interfaces.cli.tables import measured


def run(
    context: typer.Context,
    as_of: Annotated[str | None, typer.Option(help="cli.turn.as_of")] = None,
    seed: Annotated[int | None, typer.Option(help="cli.turn.seed")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="cli.turn.dry_run")] = False,
) -> Answer:
    """Code 0 whether the candidate is promoted or not: both are a turn that ended well."""
    here: Here = context.obj
    project = opened(here)
    with Bars(here) as bars:
        decision = loop.turn(
            project,
            as_of=None if as_of is None else _moment(as_of),
            seed=project.settings.tune.seed if seed is None else seed,
            now=datetime.now(UTC),
            dry_run=dry_run,
            progress=bars,
        )
    reports = [
        report
        for report in project.ledger.reports(decision.task)
        if report.challenger == decision.model
    ]
    said = told(decision, here)
    table: list[Line] = [measured(reports[-1], here), ""] if reports else []
    report = document(reports[-1]) if reports else None
    after = ["", here.say("cli.turn.dry_run.told")] if dry_run else []
    whole = {**said.document, "report": report, "dry_run": dry_run}
    return Answer(whole, [*table, *said.lines, *after])


def _moment(text: str) -> datetime:
    """A time with its zone. Raises InterfaceError for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InterfaceError("cli.bad_time", text=text) from None
    if at.tzinfo is None:
        raise InterfaceError("cli.bad_time", text=text)
    return at.astimezone(UTC)
