"""``upwell check``: does every plugin keep its promises?"""

from __future__ import annotations

from typing import Annotated

import typer

from upwell.checks import Result, check
from upwell.interfaces.cli.here import Answer, Grid, Here
from upwell.interfaces.cli.kinds import chosen
from upwell.plugins import locations
from upwell.records import Json


def run(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="cli.check.kind")] = None,
    name: Annotated[str | None, typer.Argument(help="cli.check.name")] = None,
) -> Answer:
    """Code 1 when a promise is broken."""
    here: Here = context.obj
    results = [
        result
        for one in chosen(kind)
        for plugin in ([name] if name else locations(one))
        for result in check(one, plugin)
    ]
    broken = sum(not result.kept for result in results)
    heads = [here.say(f"cli.{key}") for key in ("list.name", "check.promise", "check.result")]
    rows = [_row(result, here) for result in results]
    key = "cli.check.some_broken" if broken else "cli.check.all_kept"
    summary = here.say(key, n=len(results), broken=broken)
    document: dict[str, Json] = {
        "kept": len(results) - broken,
        "broken": broken,
        "results": _data(results),
    }
    return Answer(document, [Grid(heads, rows), "", summary], code=1 if broken else 0)


def _row(result: Result, here: Here) -> tuple[str, str, str]:
    kept = here.say("cli.check.kept")
    said = kept if result.kept else here.say("cli.check.broken", problem=result.found)
    return f"{result.kind}/{result.plugin}", result.sentence(here.lang), said


def _data(results: list[Result]) -> Json:
    return [
        {
            "kind": result.kind,
            "plugin": result.plugin,
            "promise": result.promise,
            "kept": result.kept,
            "found": result.found,
        }
        for result in results
    ]
