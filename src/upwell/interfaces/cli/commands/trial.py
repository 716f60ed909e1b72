"""``upwell trial``: try a version on some of the users before all of them get it."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.by_hand import document
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.service import new_id
from upwell.store.project import Project
from upwell.store.trials import Trial, Trials
from upwell.wiring import trials


def run(
    context: typer.Context,
    act: Annotated[str | None, typer.Argument(help="cli.trial.act")] = None,
    version: Annotated[str | None, typer.Argument(help="cli.trial.version")] = None,
    mode: Annotated[str, typer.Option(help="cli.trial.mode")] = "",
    share: Annotated[float, typer.Option(help="cli.trial.share", show_default=False)] = 0.0,
) -> Answer:
    """Without an act, the running trial with its numbers, and those before it."""
    here: Here = context.obj
    project, now = opened(here), datetime.now(UTC)
    if act == "start" and version:
        _start(project, version, mode, share, now)
    elif act == "stop":
        trials.finish(project, _running(project), "stop", {"key": "trial.by_hand"}, now)
    elif act == "decide":
        trials.step(project, now)
    elif act is not None:
        raise InterfaceError("cli.trial_act", act=act)
    return _standing(project, now, here)


def _start(project: Project, version: str, mode: str, share: float, now: datetime) -> None:
    known = [one.id for one in project.ledger.versions(project.settings.project.task)]
    if version not in known:
        nearest = (get_close_matches(version, known, 1, 0.0) or ["–"])[0]
        raise InterfaceError("cli.no_version", name=version, nearest=nearest)
    trials.start(project, version, now, id=new_id(now), mode=mode, share=share)


def _running(project: Project) -> Trial:
    found = Trials(project.journal).running(project.settings.project.task)
    if found is None:
        raise InterfaceError("trial.none")
    return found


def _standing(project: Project, now: datetime, here: Here) -> Answer:
    """The running trial with its numbers, then a row for each that has ended."""
    every = Trials(project.journal).all(project.settings.project.task)
    running = next((one for one in every if one.ended is None), None)
    ended = [one for one in every if one.ended is not None]
    lines: list[Line] = [here.say("cli.trial.none")]
    told = None
    if running is not None:
        verdict = trials.look(project, running, now).verdict
        numbers = verdict.numbers()
        told = {"act": verdict.act, "key": verdict.key, **numbers}
        facts = [
            (here.say("cli.trial.champion"), running.champion),
            (here.say("cli.trial.challenger"), running.challenger),
            (here.say("cli.trial.chance"), f"{running.chance(now):.1%}"),
            (here.say("cli.trial.started"), f"{running.started:%Y-%m-%d %H:%M} UTC"),
            (here.say("cli.trial.users"), "{:,} + {:,}".format(*verdict.units)),
            (here.say("cli.trial.estimate"), _number(verdict.estimate)),
            (here.say("cli.trial.bounds"), f"{_number(verdict.low)} … {_number(verdict.high)}"),
            (here.say("cli.trial.evidence"), f"{verdict.evidence:.3g}"),
        ]
        head = (here.say("cli.trial.what"), here.say(f"trial.mode.{running.mode}"))
        lines = [Grid(head, facts), "", here.say(verdict.key, **numbers)]
    if ended:
        lines += ["", here.say("cli.trial.past"), _past(ended, here)]
    return Answer(
        {
            "running": None if running is None else document(running),
            "standing": told,
            "ended": [document(one) for one in ended],
        },
        lines,
    )


def _past(ended: list[Trial], here: Here) -> Grid:
    keys = ("challenger", "champion", "started", "ended", "outcome")
    heads = [*(here.say(f"cli.trial.{key}") for key in keys), here.say("cli.models.decision")]
    return Grid(heads, [_row(one, here) for one in ended])


def _row(trial: Trial, here: Here) -> tuple[str, ...]:
    reason = dict(trial.reason or {})
    return (
        trial.challenger,
        trial.champion,
        f"{trial.started:%Y-%m-%d %H:%M}",
        "" if trial.ended is None else f"{trial.ended:%Y-%m-%d %H:%M}",
        here.say(f"trial.outcome.{trial.outcome}"),
        here.say(str(reason.pop("key")), **reason) if reason else "",
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"
