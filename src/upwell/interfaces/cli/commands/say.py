"""``upwell say``: what a person thinks of an answer, from the shell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.agreed import agreed
from upwell.interfaces.cli.here import Answer, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.rows import permitted_users, pseudonyms
from upwell.service import Upwell, new_id

THUMBS = {"up": 1.0, "down": -1.0}


def run(
    context: typer.Context,
    prediction: Annotated[str, typer.Argument(help="cli.say.prediction")],
    verdict: Annotated[str, typer.Argument(metavar="up|down|ANSWER", help="cli.say.verdict")],
    user: Annotated[str | None, typer.Option("--user", "-u", help="cli.say.user")] = None,
    consent: Annotated[str, typer.Option(metavar="PURPOSES", help="cli.say.consent")] = "",
) -> Answer:
    """Thumbs, or the answer that would have been right; kept like every other event."""
    here: Here = context.obj
    purposes = agreed(consent, here)
    project = opened(here)
    shown = project.journal.prediction(prediction)
    if shown is None:
        raise InterfaceError("cli.no_prediction", prediction=prediction)
    if not verdict.strip():
        raise InterfaceError("cli.usage", problem=here.say("cli.say.verdict"))
    who, now, upwell = user or shown.user, datetime.now(UTC), Upwell(project)
    event: dict[str, object] = {"id": new_id(now), "user": who, "prediction": prediction, "at": now}
    if verdict in THUMBS:
        event |= {"kind": "thumbs", "value": THUMBS[verdict]}
    else:
        event |= {"kind": "correction", "payload": {"correction": verdict}}
    receipt = upwell.capture([event], source="shell", now=now)
    if purposes:
        upwell.consent([who], purposes, since=now)
    key = f"cli.say.{verdict if verdict in THUMBS else 'correction'}"
    lines: list[Line] = [here.say(key, answer=verdict, prediction=prediction)]
    permitted = permitted_users(project, "train", now).to_pylist()
    if pseudonyms(project).of(who) not in permitted:
        lines += [here.say("cli.say.no_consent", user=who)]
    return Answer({"event": str(event["id"]), "accepted": receipt.accepted}, lines)
