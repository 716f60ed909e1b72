"""``upwell report``: the pictures, the tables and the data of all turns so far."""

from __future__ import annotations

import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.tables import turns
from upwell.interfaces.report.gather import gather
from upwell.interfaces.report.write import pictures, write
from upwell.records import Json


def run(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="cli.report.out")] = None,
    show: Annotated[bool, typer.Option("--open", help="cli.report.open")] = False,
) -> Answer:
    """Write it in both languages; name the page in the reader's."""
    here: Here = context.obj
    project = opened(here)
    story = gather(project, datetime.now(UTC))
    pages = write(story, out or project.folder / "report")
    page = pages[here.lang].resolve()
    if show:
        webbrowser.open(page.as_uri())
    lines: list[Line] = [turns(story, here), ""] if story.turns else [here.say("report.no_turn")]
    document: dict[str, Json] = {
        "pages": {lang: str(path.resolve()) for lang, path in pages.items()},
        "pictures": {picture.name: picture.data for picture in pictures(story, here.lang)},
    }
    return Answer(document, [*lines, here.say("cli.report.done", page=page)])
