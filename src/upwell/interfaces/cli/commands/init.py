"""``upwell init``: a new project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from upwell.interfaces.cli.here import Answer, Here
from upwell.plugins import plugin
from upwell.ports import Talking, Task
from upwell.settings import FILE, ProjectSettings
from upwell.store.project import create_project


def run(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="cli.init.folder")] = None,
    name: Annotated[str | None, typer.Option(help="cli.init.name")] = None,
    task: Annotated[str, typer.Option(help="cli.init.task")] = "recommend",
) -> Answer:
    """Write ``upwell.toml``; data folders are made when they are first needed."""
    here: Here = context.obj
    place = (folder or here.project or Path()).resolve()
    called = name or place.name.lower()
    # The task that every project has by default needs no look at it, which would bring torch.
    default = task == ProjectSettings().task
    about = "item" if default else _about(plugin("tasks", task))
    create_project(place, called, None if default else {"project": {"task": task}})
    lines = [
        here.say("cli.init.done", name=called, folder=place),
        here.say(f"cli.init.next.{about}", folder=place),
    ]
    told = {"folder": str(place), "name": called, "task": task, "settings": str(place / FILE)}
    return Answer(told, lines)


def _about(task: Task) -> str:
    """What users would do first: who talks can begin without data."""
    return "talk" if isinstance(task, Talking) else task.ABOUT
