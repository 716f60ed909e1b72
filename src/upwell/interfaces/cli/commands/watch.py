"""``upwell watch``: turns by themselves, whenever one is due."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Annotated

import typer

from upwell import loop
from upwell.interfaces.cli.here import Answer, Here
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.stopping import Stopping
from upwell.interfaces.rounds import document, lines
from upwell.wiring import Round

FAILED, BUSY = 1, 75
"""Exit codes of ``--once``: a turn failed; another process runs one (EX_TEMPFAIL)."""


def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="cli.watch.once")] = False,
) -> Answer:
    """Without ``--once`` it runs until it is told to stop, which is no failure: code 0."""
    here: Here = context.obj
    project = opened(here)
    with Stopping(here) as stopping:
        watched = loop.watch(
            project,
            clock=lambda: datetime.now(UTC),
            chance=random.SystemRandom().random,
            progress=stopping,
        )
        for found in watched:
            stopping.pause()
            _tell(found, here)
            if once:
                return Answer({}, [], _code(found))
            if stopping.asked(found.wait.total_seconds()):
                break
    if not here.json:
        print(here.say("cli.watch.stopped"))
    return Answer({}, [])


def _tell(found: Round, here: Here) -> None:
    """One line a look; a line of JSON for programs."""
    if here.json:
        print(json.dumps(document(found, here.lang), ensure_ascii=False), flush=True)
        return
    for line in lines(found, here.lang):
        print(line, flush=True)


def _code(found: Round) -> int:
    if found.busy:
        return BUSY
    return FAILED if found.failed is not None else 0
