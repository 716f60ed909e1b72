"""``upwell demo``: the loop on real data, from nothing to a report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import typer

from upwell.interfaces.cli.here import Answer, Here, Line
from upwell.interfaces.cli.progress import Bars
from upwell.interfaces.cli.tables import turns
from upwell.interfaces.demo import run_demo
from upwell.interfaces.demo_chat import Said, run_chat_demo
from upwell.interfaces.report.gather import gather
from upwell.interfaces.report.quality import verdict
from upwell.interfaces.report.write import pictures, write
from upwell.records import Json
from upwell.stages.release.explain import render
from upwell.store.project import DEMO, open_project


def run(
    context: typer.Context,
    what: Annotated[Literal["films", "chat"], typer.Argument(help="cli.demo.what")] = "films",
    folder: Annotated[Path | None, typer.Option(help="cli.demo.folder")] = None,
    data: Annotated[Path | None, typer.Option(help="cli.demo.data")] = None,
    turns_of_feedback: Annotated[
        int, typer.Option("--turns", min=1, metavar="N", help="cli.demo.turns")
    ] = 4,
    seed: Annotated[int, typer.Option(help="cli.demo.seed")] = 0,
) -> Answer:
    """Ends with a table, a report in both languages and what to try next."""
    here: Here = context.obj
    began, now = perf_counter(), datetime.now(UTC)
    if what == "chat":
        place = folder or Path(f"{DEMO}-chat")
        with Bars(here) as bars:
            found = run_chat_demo(place, data, seed, bars, now)
        decided = [one for one in found.decision.reasons if one["verdict"] != "note"]
        why = render(replace(found.decision, reasons=tuple(decided)), here.lang)
        told: list[Line] = [*why, "", *_beside(found.said, here)]
        more: dict[str, Json] = {
            "act": found.decision.act,
            "said": [{"asked": s.asked, "before": s.before, "after": s.after} for s in found.said],
        }
    else:
        place = folder or Path(DEMO)
        with Bars(here) as bars:
            run_demo(place, data, turns_of_feedback, seed, bars, now)
        told, more = [], {}
    return _told(here, what, place, began, now, told, more)


def _told(
    here: Here, what: str, folder: Path, began: float, now: datetime, told: list[Line],
    more: dict[str, Json],
) -> Answer:  # fmt: skip
    project = open_project(folder)
    story, serves = gather(project, now), project.ledger.champion(project.settings.project.task)
    pages = write(story, folder / "report")
    page = pages[here.lang].resolve()
    seconds = perf_counter() - began
    document: dict[str, Json] = {
        "project": str(folder.resolve()),
        "pages": {lang: str(path.resolve()) for lang, path in pages.items()},
        "pictures": {picture.name: picture.data for picture in pictures(story, here.lang)},
        "seconds": round(seconds, 1),
        **more,
    }
    lines: list[Line] = [
        *(told or [turns(story, here), "", verdict(story, here.lang)]),
        here.say("cli.demo.taken", seconds=seconds),
        here.say("cli.report.done", page=page),
        "",
        here.say(f"cli.demo.next.{what}", folder=folder, model=serves.id if serves else ""),
    ]
    return Answer(document, lines)


def _beside(said: tuple[Said, ...], here: Here) -> list[str]:
    """Each question with the answer before and after."""
    return [
        line
        for one in said
        for line in (
            f"» {one.asked}",
            here.say("cli.demo.before", text=" ".join(one.before.split())),
            here.say("cli.demo.after", text=" ".join(one.after.split())),
            "",
        )
    ]
