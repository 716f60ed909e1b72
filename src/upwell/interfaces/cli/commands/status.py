"""``upwell status``: where the loop stands."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.report.gather import learned
from upwell.interfaces.report.picture import diagnosed
from upwell.records import Json
from upwell.service import Upwell
from upwell.store.project import Project
from upwell.wiring.purge import tainted
from upwell.words import catalogue


def run(context: typer.Context) -> Answer:
    """Everything that ``Upwell.status`` says, and what to do next."""
    here: Here = context.obj
    project = opened(here)
    found = Upwell(project).status()
    name = project.settings.project.name
    told, spoilt = _learned(project), tainted(project)
    document: dict[str, Json] = {
        "project": name, "folder": str(project.folder), **found, "learned": dict(told),
        "tainted": dict(spoilt),
    }  # fmt: skip
    rows = [(_name(key, here), said) for key, said in _flat(found, here)]
    heads = [here.say("cli.status.what"), here.say("cli.status.value")]
    lines: list[Line] = [
        here.say("cli.status.project", name=name, folder=project.folder),
        "",
        Grid(heads, rows),
        *diagnosed(told, here.lang),
        *([here.say("cli.purge.status", versions=", ".join(spoilt))] if spoilt else []),
        "",
        here.say("cli.status.next", command=_next(found)),
    ]
    return Answer(document, lines)


def _learned(project: Project) -> dict[str, float]:
    """What the latest training that came to its end told of itself."""
    ledger = project.ledger
    for turn in reversed(ledger.turns(project.settings.project.task)):
        tuned = ledger.stage_result(turn.id, "tune")
        if tuned is not None:
            return learned(tuned)
    return {}


def _flat(found: Mapping[str, Json], here: Here) -> list[tuple[str, str]]:
    """One row an entry; an entry that has parts becomes one row a part."""
    rows = []
    for key, value in found.items():
        if isinstance(value, Mapping):
            rows += _flat(value, here)
        elif value is None:
            rows.append((key, here.say("cli.status.none")))
        else:
            rows.append((key, f"{value:,}" if isinstance(value, int) else str(value)))
    return rows


def _name(key: str, here: Here) -> str:
    return catalogue(here.lang).get(f"cli.status.{key}", key.replace("_", " "))


def _next(found: Mapping[str, Json]) -> str:
    """The command that takes the loop on."""
    counts, drained = found.get("events"), found.get("in_lake")
    events = counts.get("events") if isinstance(counts, Mapping) else 0
    if not events:
        return "upwell import FILE"
    is_new = not found.get("champion") or found.get("unfinished") or events != drained
    return "upwell turn" if is_new else "upwell report"
