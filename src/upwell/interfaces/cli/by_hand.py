"""Decisions that a person takes: recorded like those of the gate, with their reason."""

from __future__ import annotations

import json
from datetime import datetime
from difflib import get_close_matches
from uuid import uuid4

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Answer, Here
from upwell.records import Decision, Json
from upwell.stages.release.explain import render
from upwell.store.project import Project
from upwell.tables import canonical_json
from upwell.wiring.purge import tainted
from upwell.wiring.switch import earlier, switch


def decide(
    project: Project, act: str, version: str, now: datetime, here: Here, *, force: bool = False
) -> Answer:
    """Let ``version`` serve, if its folder is as it was written.

    Raises InterfaceError when there is no such version, or it learned from what was purged since
    (unless ``force``), StoreError ``model.damaged``.
    """
    known = [entry.id for entry in project.ledger.versions(project.settings.project.task)]
    if version not in known:
        nearest = (get_close_matches(version, known, 1, 0.0) or ["–"])[0]
        raise InterfaceError("cli.no_version", name=version, nearest=nearest)
    if not force and version in tainted(project):
        raise InterfaceError("cli.tainted", version=version, act=act)
    reason: dict[str, Json] = {"key": "release.by_hand"}
    return told(switch(project, act, version, reason, id=str(uuid4()), now=now), here)


def told(decision: Decision, here: Here) -> Answer:
    """A decision as an answer: its record, and its sentences."""
    lines = render(decision, here.lang)
    return Answer(
        {"decision": document(decision)}, [lines[0], *(f"  · {line}" for line in lines[1:])]
    )


def document(record: object) -> Json:
    """A record as JSON: the same text that the stores keep."""
    found: Json = json.loads(canonical_json(record))
    return found


def before(project: Project) -> str:
    """The version that served before the present one. Raises InterfaceError without one."""
    found = earlier(project)
    if found is None:
        raise InterfaceError("cli.no_earlier")
    return found
