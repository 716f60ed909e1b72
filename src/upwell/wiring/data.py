"""Protect, clean, behaviour, dataset: what users did as one frozen snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation
from pyarrow import parquet as pq

from upwell import rows
from upwell.ports import Correcting, Talking, Task
from upwell.records import Json
from upwell.settings import Settings
from upwell.stages.clean.trust import totals, trusted
from upwell.stages.dataset.augment import Rewrite, augmented
from upwell.stages.dataset.back_translation import back_translated
from upwell.stages.dataset.corrections import taught
from upwell.stages.dataset.history import with_history
from upwell.stages.dataset.items import items
from upwell.stages.dataset.split import assign, cuts
from upwell.store.doubts import keep_doubts
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.store.renaming import first_name
from upwell.tables import Dataset, micros
from upwell.wiring.turns import Kept, Tell, task_of


def collect(project: Project, turn: Turn, tell: Tell) -> Kept:
    """What intake has accepted, refused and recognised so far."""
    return dict(project.journal.counts())


def freeze(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Protect, clean, behaviour, dataset: what users did as one snapshot of rows to learn from."""
    with rows.workspace(project) as (space, con):
        events = since(
            rows.events_of(project, con, until_seq=turn.watermark),
            turn.at, project.settings.retention.train_days,
        )  # fmt: skip
        predictions = project.lake.predictions(con)
        users = rows.permitted_users(project, "train", turn.at)
        known = turn.as_of or turn.at
        made = rows.written(con, space, project, events, predictions, users, known)
        tell("dataset", 0.6, {})
        split = project.settings.split
        frozen = rows.frozen_span(project, made, turn.task, turn.as_of)
        task = task_of(turn)
        found = rows.judgement(
            con, space, project, events, predictions, users, made, frozen, turn.as_of, known
        )
        made = trusted(con, made, found.doubts, found.rated)
        user = first_name(con, project.veil)
        parts = assign(con, made, split, cuts(made, split, frozen, turn.as_of), task.ABOUT, user)
        parts = _completed(con, project, task, parts)
        keep_doubts(rows.doubts_path(project, turn.id), found.doubts)
        snapshot = project.snapshots.write(
            {**parts, "items": items(con, events)}, turn.task, turn.at, turn.watermark
        )
        funnel: dict[str, Json] = {
            **_funnel(space, made, parts["train"]),
            "doubts": totals(found.doubts),
        }
    span: list[Json] = [micros(end) for end in frozen]
    names: dict[str, Json] = {"snapshot": snapshot.id, "test": snapshot.test, "frozen": span}
    return {**names, "users": len(users), **funnel}


def since(events: DuckDBPyRelation, now: datetime, days: float) -> DuckDBPyRelation:
    """The events of the last ``days``, and those that are nobody's; all where that is 0."""
    if not days:
        return events
    is_new = ColumnExpression("at") >= ConstantExpression(now - timedelta(days=days))
    return events.filter(is_new | (ColumnExpression("user") == ConstantExpression("")))


def _funnel(space: Path, made: DuckDBPyRelation, train: DuckDBPyRelation) -> dict[str, int]:
    """How many rows are about something, say something, are learned from, could not be read."""
    says = "weight > 0"
    counted = {"examples": made, "signals": made.filter(says), "training": train.filter(says)}
    found = {
        name: int(part.aggregate("count(*)").fetchall()[0][0]) for name, part in counted.items()
    }
    if (space / rows.READABLE).exists():
        whole, left = (
            pq.read_metadata(space / name).num_rows for name in (rows.EXAMPLES, rows.READABLE)
        )
        found["unreadable"] = whole - left
    return found


def _completed(
    con: DuckDBPyConnection, project: Project, task: Task, parts: Mapping[str, DuckDBPyRelation]
) -> dict[str, DuckDBPyRelation]:
    """The parts with, in train, what corrections teach and variants of scarce texts.

    The test is without what nobody sent: an outcome that comes late ends a silence, and a test
    that is frozen must not change with that; nor is anything judged by what is only implied.
    """
    settings, order, train, test = project.settings, '"user", "at", seq, id', "train", "test"
    found = dict(parts)
    if task.ABOUT == "answer" and isinstance(task, Correcting):
        found[train] = taught(con, found[train], task.corrected).order(order)
    if settings.augment.below:
        made = con.from_arrow(augmented(con, found[train], settings.augment, _rewrite(settings)))
        found[train] = found[train].union(made).order(order)
    if settings.trust.maturity_days or isinstance(task, Talking):
        found[test] = parts[test].filter("seq >= 0").order(order)
    if isinstance(task, Talking):
        found["validation"] = parts["validation"].filter("seq >= 0").order(order)
    return found


def _rewrite(settings: Settings) -> Rewrite | None:
    """What says texts otherwise, where the settings name translation models."""
    if not settings.augment.back_translation:
        return None
    there, back = settings.augment.back_translation
    return partial(back_translated, there=there, back=back)


def dataset(project: Project, snapshot: str) -> Dataset:
    """The rows of a snapshot, each with the history of its user."""
    return with_history(project.snapshots.read(snapshot), project.settings.behaviour.history)
