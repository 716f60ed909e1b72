"""What may leave a project: rows to train with elsewhere, and a version's folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

import pyarrow as pa
from pyarrow import compute as pc

from upwell import rows
from upwell.errors import StageError, StoreError
from upwell.plugins import plugin
from upwell.ports import Talking, Task
from upwell.records import NOBODY, ModelVersion
from upwell.stages.dataset.augment import MARK
from upwell.stages.dataset.training_files import Record, records
from upwell.store.exclusions import Exclusions
from upwell.store.project import Project
from upwell.wiring.purge import tainted


@dataclass(frozen=True, slots=True)
class Handed:
    """Rows of a snapshot's train part that may be given away, and how many may not any more."""

    snapshot: str
    rows: pa.Table
    withheld: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A version's folder, and what speaks against it: its files, or rows it should not know."""

    path: Path
    damaged: str = ""
    is_tainted: bool = False


def handed(project: Project, snapshot: str | None, now: datetime) -> Handed:
    """The train part of a snapshot (None: the latest), of users who still allow training ``now``.

    Rows of users or sources that were purged since are withheld, too; variants of rows that a turn
    made are none of its data. Raises StageError
    ``export.no_snapshot``, and ``export.no_text`` where the task's rows are no texts.
    """
    chosen = project.snapshots.snapshot(snapshot or _latest(project))
    if not _is_text(plugin("tasks", chosen.task)):
        raise StageError("export.no_text", task=chosen.task)
    train = project.snapshots.read(chosen.id).train
    train = train.filter(pc.invert(pc.match_substring(train["id"], MARK)))
    known = pc.is_in(train["user"], rows.permitted_users(project, "train", now))
    is_nobodys = pc.starts_with(train["user"], NOBODY)
    left = train.filter(pc.or_(known, is_nobodys))
    gone = set(Exclusions(project.journal).names("source"))
    if gone:
        clean = [not gone & set(map(_source, keys)) for keys in left["sources"].to_pylist()]
        left = left.filter(pa.array(clean, pa.bool_()))
    return Handed(chosen.id, left, len(train) - len(left))


def told(found: Handed, form: str) -> Iterator[Record]:
    """The records of a file. Raises StageError ``export.nothing`` where there is none."""
    made = records(form, found.rows)
    first = next(made, None)
    if first is None:
        raise StageError("export.nothing", form=form, snapshot=found.snapshot[:12])
    return chain([first], made)


def folder_of(project: Project, version: ModelVersion, force: bool) -> Folder:
    """A version's folder as it was written. ``force`` gives it whatever speaks against it.

    Raises StageError ``export.tainted``, StoreError ``model.damaged``.
    """
    is_tainted = version.id in tainted(project)
    if is_tainted and not force:
        raise StageError("export.tainted", version=version.id)
    try:
        return Folder(project.models.verified(version.path, version.digest), "", is_tainted)
    except StoreError as error:
        path = project.models.place(version.path)
        if not force or not path.is_dir():
            raise
        return Folder(path, str(error.details.get("file", "")), is_tainted)


def _latest(project: Project) -> str:
    ledger, task = project.ledger, project.settings.project.task
    for turn in reversed(ledger.turns(task)):
        found = ledger.stage_result(turn.id, "dataset")
        if found:
            return str(found["snapshot"])
    raise StageError("export.no_snapshot")


def _source(key: str) -> str:
    """The source in the key of an event."""
    return key.partition("/")[0]


def _is_text(task: Task) -> bool:
    """Whether inputs and targets are texts, as those of the task's toy show."""
    if task.ABOUT != "answer" or isinstance(task, Talking):
        return task.ABOUT == "answer"
    toy = task.toy(0).train
    return not any(
        _is_object(text) for name in ("input", "target") for text in toy[name].to_pylist()
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
