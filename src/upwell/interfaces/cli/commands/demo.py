"""``upwell demo``: the loop on MovieLens-100K, from nothing to a report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Here, Line
from upwell.interfaces.cli.progress import Bars
from upwell.interfaces.cli.tables import turns
from upwell.interfaces.demo import run_demo
from upwell.interfaces.report.gather import gather
from upwell.interfaces.report.quality import verdict
from upwell.interfaces.report.write import pictures, write
from upwell.records import Json
from upwell.store.project import DEMO, open_project


def run(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="cli.demo.folder")] = Path(DEMO),
    data: Annotated[Path | None, typer.Option(help="cli.demo.data")] = None,
    turns_of_feedback: Annotated[
        int, typer.Option("--turns", min=1, metavar="N", help="cli.demo.turns")
    ] = 4,
    seed: Annotated[int, typer.Option(help="cli.demo.seed")] = 0,
) -> Answer:
    """Ends with a table, a report in both languages and what to try next."""
    here: Here = context.obj
    began, now = perf_counter(), datetime.now(UTC)
    with Bars(here) as bars:
        run_demo(folder, data, turns_of_feedback, seed, bars, now)
    story = gather(open_project(folder), now)
    pages = write(story, folder / "report")
    page = pages[here.lang].resolve()
    seconds = perf_counter() - began
    document: dict[str, Json] = {
        "project": str(folder.resolve()),
        "pages": {lang: str(path.resolve()) for lang, path in pages.items()},
        "pictures": {picture.name: picture.data for picture in pictures(story, here.lang)},
        "seconds": round(seconds, 1),
    }
    lines: list[Line] = [
        turns(story, here),
        "",
        verdict(story, here.lang),
        here.say("cli.demo.taken", seconds=seconds),
        here.say("cli.report.done", page=page),
        "",
        here.say("cli.demo.next", folder=folder),
    ]
    return Answer(document, lines)
