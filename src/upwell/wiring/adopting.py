"""The first version of a task whose base speaks already: the base, as it is.

It serves from the first day, so that there are users to learn from, and what is learned from them
must be shown to be better than it.
"""

from __future__ import annotations

from datetime import datetime

from upwell.plugins import plugin
from upwell.ports import Talking
from upwell.records import Decision, Example, ModelVersion
from upwell.store.project import Project
from upwell.store.snapshots import ITEMS
from upwell.tables import Dataset, schema

BASE = "base"
"""The id of that version."""


def adopt(project: Project, now: datetime) -> ModelVersion | None:
    """Let the base serve where nothing was trained yet; None where there is nothing to adopt.

    Safe to repeat, also after a kill. Raises PluginError where the base cannot be loaded.
    """
    name, settings = project.settings.project.task, project.settings.tune
    task = plugin("tasks", name)
    known = {version.id: version for version in project.ledger.versions(name)}
    if not isinstance(task, Talking) or not settings.base or set(known) - {BASE}:
        return None
    if BASE not in known:
        known[BASE] = _added(project, name, now)
    if project.ledger.champion(name) is None:
        reasons = ({"key": "adopted.base", "verdict": "promote", "base": settings.base},)
        project.ledger.decide(Decision(BASE, BASE, name, now, "promote", reasons), BASE)
    return known[BASE]


def _added(project: Project, name: str, now: datetime) -> ModelVersion:
    task, settings = plugin("tasks", name), project.settings.tune
    empty = schema(Example).empty_table()
    data = Dataset(empty, empty, empty, ITEMS.empty_table())
    parts = {"train": empty, "validation": empty, "test": empty, "items": data.items}
    snapshot = project.snapshots.write(parts, name, now, 0)
    model = task.start(settings.base, data, settings.seed)
    path, digest = project.models.write(BASE, lambda folder: task.save(model, folder), replace=True)
    recipe = {"base": settings.base}
    version = ModelVersion(BASE, name, now, None, snapshot.id, recipe, None, str(path), digest)
    project.ledger.add_version(version)
    return version
