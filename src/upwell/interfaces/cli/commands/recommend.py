"""``upwell recommend``: what the serving model recommends to a user, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Grid, Here
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.reasons import told
from upwell.interfaces.report.scale import figure
from upwell.service import Upwell


def run(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="cli.recommend.user")],
    k: Annotated[int | None, typer.Option("--count", "-k", min=1, help="cli.recommend.k")] = None,
    plain: Annotated[bool, typer.Option("--no-personalize", help="cli.no_personalize")] = False,
) -> Answer:
    """The answer is recorded as shown, so that feedback finds it."""
    here: Here = context.obj
    project = opened(here)
    size = k or project.settings.serve.k
    answer = Upwell(project).recommend(user, size, personalize=not plain)
    shown = [{**row, "reason": told(str(row["reason"]), here.lang)} for row in answer.to_pylist()]
    keys = ("item", "title", "score", "reason")
    heads = [here.say(f"cli.recommend.{key}") for key in keys]
    rows = [
        (str(row["item"]), str(row["title"]), figure(float(row["score"])), str(row["reason"]))
        for row in shown
    ]
    model = str(shown[0]["model"]) if shown else "–"
    said = here.say("cli.recommend.by", user=user, model=model)
    return Answer({"user": user, "answers": shown}, [said, Grid(heads, rows)])
