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


def decide(project: Project, act: str, version: str, now: datetime, here: Here) -> Answer:
    """Let ``version`` serve. Raises InterfaceError when there is no such version."""
    task = project.settings.project.task
    known = [entry.id for entry in project.ledger.versions(task)]
    if version not in known:
        nearest = (get_close_matches(version, known, 1, 0.0) or ["–"])[0]
        raise InterfaceError("cli.no_version", name=version, nearest=nearest)
    decision = Decision(
        id=str(uuid4()),
        model=version,
        task=task,
        at=now,
        act=act,
        reasons=({"key": "release.by_hand"},),
    )
    project.ledger.decide(decision, alias_to=version)
    return told(decision, here)


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
    served = project.ledger.alias_history(project.settings.project.task)["version"].to_pylist()
    earlier = [version for version in served if version != served[-1]]
    if not earlier:
        raise InterfaceError("cli.no_earlier")
    return str(earlier[-1])
