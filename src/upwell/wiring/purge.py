"""After an attack was found: whose events no longer count, and which versions learned from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from duckdb import ColumnExpression, ConstantExpression

from upwell import rows
from upwell.errors import StageError, StoreError
from upwell.records import ModelVersion
from upwell.stages.protect.exclusion import rows_of
from upwell.store.erasures import Erasures
from upwell.store.exclusions import Exclusion, Exclusions, Taint, What
from upwell.store.project import Project
from upwell.wiring.turns import alone, drain, end

_PARTS = ("train", "validation", "test")
Tainted = Mapping[str, int | None]
"""Versions and how many rows of what was purged they were made with; None: it cannot be told."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did: ``events`` no longer count, ``tainted`` are the versions it has reached.

    ``is_new`` is False where the same was purged before: then nothing has changed.
    """

    exclusion: Exclusion
    is_new: bool
    events: int
    tainted: Tainted


def purge(project: Project, what: What, name: str, reason: str, now: datetime) -> Purged:
    """Exclude a user (their own id) or a source from every turn to come, and name what it reached.

    An unfinished turn is ended, for it may have the rows already. Raises StageError
    ``purge.unknown`` where no event is of this user or source; StoreError ``turn.running``.
    """
    hidden = rows.pseudonyms(project).of(name) if what == "user" else name
    exclusions = Exclusions(project.journal)
    with alone(project, now):
        drain(project)
        count = _events(project, what, hidden)
        if not count:
            raise StageError("purge.unknown", what=what, name=name[:64])
        known = {(one.what, one.name) for one in exclusions.all()}
        made = exclusions.add(what, hidden, now, reason)
        is_new = (what, hidden) not in known
        unfinished = project.ledger.unfinished_turn(project.settings.project.task)
        if is_new and unfinished is not None:
            end(project, unfinished, now)
    found = {
        one.version: one.rows
        for one in _examined(project)
        if one.exclusion == made.seq and one.rows != 0
    }
    return Purged(made, is_new, count, found)


def tainted(project: Project) -> Tainted:
    """Every version of the task made with rows of what was purged or of whom was forgotten since.

    Oldest first.
    """
    found: dict[str, int | None] = {}
    told = [(one.version, one.rows) for one in _examined(project)]
    told += [(one.version, one.rows) for one in Erasures(project.journal).reached()]
    for version, count in told:
        if count != 0:
            before = found.get(version, 0)
            unknown = count is None or before is None
            found[version] = None if unknown else (count or 0) + (before or 0)
    versions = project.ledger.versions(project.settings.project.task) if found else []
    return {one.id: found[one.id] for one in versions if one.id in found}


def _events(project: Project, what: What, name: str) -> int:
    with rows.workspace(project) as (_, con):
        events = project.lake.events(con).filter(ColumnExpression(what) == ConstantExpression(name))
        return int(events.aggregate("count(*)").fetchall()[0][0])


def _examined(project: Project) -> list[Taint]:
    """What is known of every version and exclusion; what is not known yet is looked up and kept."""
    store = Exclusions(project.journal)
    excluded = store.all()
    if not excluded:
        return []
    known = {(one.version, one.exclusion) for one in store.taints()}
    for version in project.ledger.versions(project.settings.project.task):
        new = [one for one in excluded if (version.id, one.seq) not in known]
        if new:
            store.mark(_looked_up(project, version, new))
    return store.taints()


def _looked_up(project: Project, version: ModelVersion, excluded: list[Exclusion]) -> list[Taint]:
    try:
        data = project.snapshots.read(version.snapshot)
    except StoreError:
        # What cannot be read may hold anything: the version is not to be trusted.
        return [Taint(version.id, one.seq, None) for one in excluded]
    return [
        Taint(
            version.id,
            one.seq,
            sum(
                rows_of(
                    getattr(data, part),
                    [one.name] if one.what == "user" else [],
                    [one.name] if one.what == "source" else [],
                )
                for part in _PARTS
            ),
        )
        for one in excluded
    ]
