"""Another version serves: its folder is verified first, then its alias moves in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from upwell.records import Decision, Json
from upwell.store.project import Project


def switch(
    project: Project,
    act: str,
    version: str,
    reason: Mapping[str, Json],
    *,
    id: str,
    now: datetime,
) -> Decision:
    """Let ``version`` serve from now on, for a reason; the Decision as it was recorded.

    Raises StoreError ``ledger.no_version`` or ``model.damaged``: then nothing has moved.
    """
    made = project.ledger.version(version)
    project.models.verified(made.path, made.digest)
    task = project.settings.project.task
    decision = Decision(id=id, model=version, task=task, at=now, act=act, reasons=(reason,))
    project.ledger.decide(decision, alias_to=version)
    return next(one for one in project.ledger.decisions(task) if one.id == id)


def earlier(project: Project) -> str | None:
    """The version that served last before the present one; None where there was none."""
    served = project.ledger.alias_history(project.settings.project.task)["version"].to_pylist()
    return next((str(one) for one in reversed(served) if one != served[-1]), None)
