"""``upwell history``: what served when, why, with which data, and what each turn brought."""

from __future__ import annotations

from typing import Annotated

import typer

from upwell.errors import StageError
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.progress import Bars
from upwell.interfaces.past import (
    COLUMNS,
    KINDS,
    cells,
    kind_cells,
    numbers,
    sentence_of,
    spans,
)
from upwell.records import Json
from upwell.stages.release.gains import Entry
from upwell.store.project import Project
from upwell.wiring.history import history
from upwell.wiring.worth import by_kind


def run(
    context: typer.Context,
    kinds: Annotated[bool, typer.Option("--by-kind", help="cli.history.by_kind")] = False,
    budget: Annotated[float, typer.Option(min=1.0, help="cli.history.budget")] = 600.0,
) -> Answer:
    """The ledger as a table, the reasons as sentences, the worth of each kind where known."""
    here: Here = context.obj
    project = opened(here)
    if kinds:
        _measure(project, budget, here)
    entries = history(project)
    champion = project.ledger.champion(project.settings.project.task)
    served = project.ledger.alias_history(project.settings.project.task).to_pylist()
    told: dict[str, Json] = {
        "champion": champion.id if champion else None,
        "served": [{key: str(one[key]) for key in one if one[key] is not None} for one in served],
        "entries": [numbers(entry) for entry in entries],
    }
    return Answer(told, _lines(entries, here) or [here.say("cli.history.empty")])


def _measure(project: Project, budget: float, here: Here) -> None:
    """Find out what each kind of feedback was worth to the last turn that came to its end."""
    ledger = project.ledger
    ended = [
        turn
        for turn in ledger.turns(project.settings.project.task)
        if ledger.stage_result(turn.id, "release")
    ]
    if not ended:
        raise StageError("history.no_turn")
    with Bars(here) as bars:
        by_kind(project, ended[-1], budget, bars)


def _lines(entries: tuple[Entry, ...], here: Here) -> list[Line]:
    if not entries:
        return []
    heads = [here.say(f"history.column.{name}") for name in COLUMNS]
    lines: list[Line] = [Grid(heads, [cells(entry, here.lang) for entry in entries]), ""]
    lines += [said for entry in entries if (said := sentence_of(entry, here.lang))]
    lines += ["", *spans(entries, here.lang)]
    measured = [entry for entry in entries if entry.kinds]
    if measured:
        rows = kind_cells(measured[-1])
        lines += ["", here.say("history.kinds", turn=measured[-1].turn)]
        lines.append(Grid([here.say(f"history.column.{name}") for name in KINDS], rows))
        lines.append(here.say("history.kinds.caveat"))
    return lines
