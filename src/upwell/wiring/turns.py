"""A turn's beginning, its stages one after the other, and what each of them left.

One turn of a project runs at a time. What a killed one left aside is removed when the next one
has the lock: temporary folders whose writer is dead, checkpoints of turns that have ended, and
models that were written but never recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from time import perf_counter
from typing import Any, TypeAlias

from upwell import rows
from upwell.errors import PluginError, StageError, UpwellError
from upwell.plugins import plugin
from upwell.ports import Task
from upwell.records import Json
from upwell.stages.protect.redact.steps import redaction
from upwell.store.alone import alone as held
from upwell.store.erasures import Erasures
from upwell.store.exclusions import Exclusions
from upwell.store.failures import record_failure
from upwell.store.files import sweep
from upwell.store.ledger import Turn
from upwell.store.project import Project

Tell: TypeAlias = Callable[[str, float, Mapping[str, object]], None]
"""Progress: the stage, the share of it that is done, and numbers to show."""
Kept: TypeAlias = Mapping[str, Json]
"""What a stage leaves under its turn's id."""
Stage: TypeAlias = Callable[[Project, Turn, Tell], Kept]


CHECKPOINTS = "checkpoints"
ROOMS = (".", "lake", "snapshots", "models", "doubts", "judged", CHECKPOINTS)
"""Folders below the data folder in which writers stage what they make."""


@contextmanager
def alone(project: Project, now: datetime) -> Iterator[None]:
    """Let no other turn of the project run meanwhile; first remove what killed ones left.

    Raises StoreError ``turn.running``, naming the process that runs a turn and since when.
    """
    data = project.data
    with held(data, project.journal.engine, project.settings.project.task, now):
        sweep_leftovers(project)
        yield


def sweep_leftovers(project: Project) -> int:
    """Remove what no turn will take up again; returns how much. Call while holding the lock."""
    data, task = project.data, project.settings.project.task
    ledger = project.ledger
    swept = sum(sweep(data / room) for room in ROOMS)
    unfinished = ledger.unfinished_turn(task)
    for folder in sorted((data / CHECKPOINTS).glob("*")):
        if unfinished is None or folder.name != unfinished.id:
            rmtree(folder, ignore_errors=True)
            swept += 1
    known = {version.id for version in ledger.versions(task)}
    for turn in ledger.turns(task):
        if turn.closed and turn.id not in known:
            project.models.forget(turn.id)
    return swept


def checkpoint_of(project: Project, turn: Turn) -> Path:
    """Where the turn's training keeps what it needs to go on."""
    return project.data / CHECKPOINTS / turn.id


def begin(project: Project, as_of: datetime | None, seed: int, now: datetime) -> Turn:
    """The turn that was left unfinished, else a new one over all that was captured so far.

    Raises StageError ``loop.nothing_new`` when the last turn saw the same events and consents up
    to the same moment, with the same settings and seed: it would end with the same model.
    """
    task = project.settings.project.task
    unfinished = project.ledger.unfinished_turn(task)
    if unfinished:
        return unfinished
    drain(project)
    turns = project.ledger.turns(task)
    watermark, options = project.lake.watermark(), _options(project, seed)
    if turns and project.ledger.stage_result(turns[-1].id, "release") and (
        turns[-1].watermark, turns[-1].as_of, turns[-1].options,
    ) == (watermark, as_of, options):  # fmt: skip
        raise StageError("loop.nothing_new", turn=turns[-1].id, events=watermark)
    return project.ledger.open_turn(f"{task}-{len(turns)}", task, now, watermark, as_of, options)


def _options(project: Project, seed: int) -> Mapping[str, Json]:
    """What a turn depends on besides the events it may see."""
    # Where the data lie changes nothing; the address of a database may hold a password besides.
    told = project.settings.model_dump_json(exclude={"watch": True, "data": {"journal", "folder"}})
    settings = sha256(told.encode()).hexdigest()
    consents = project.journal.counts()["consents"]
    purged, erased = len(Exclusions(project.journal).all()), len(Erasures(project.journal).all())
    without = {"purged": purged, "erased": erased}
    return {"seed": seed, "settings": settings, "consents": consents, **without}


def drain(project: Project) -> int:
    """Move what is new in the journal into the lake, redacted, under pseudonyms; the rows moved."""
    steps = redaction(project.settings.protect, project.key, project.folder)
    return project.lake.drain(rows.pseudonyms(project, steps).protect)


def once(project: Project, turn: Turn, tell: Tell, name: str, stage: Stage) -> None:
    """Run a stage of the turn, unless the turn has its result already."""
    if project.ledger.stage_result(turn.id, name) is None:
        began = perf_counter()
        tell(name, 0.0, {})
        with _ended_if_refused(project, turn, name):
            made = stage(project, turn, tell)
        kept = {**made, "seconds": round(perf_counter() - began, 3)}
        project.ledger.record_stage(turn.id, name, kept, turn.at)
    tell(name, 1.0, {})


@contextmanager
def _ended_if_refused(project: Project, turn: Turn, stage: str) -> Iterator[None]:
    """End a turn whose rows cannot be used: what is captured later can only enter a new one."""
    try:
        yield
    except (PluginError, StageError) as error:
        record_failure(project.journal, turn.id, {**failure(error), "stage": stage}, turn.at)
        end(project, turn, turn.at)
        raise


def failure(error: Exception) -> dict[str, Json]:
    """What is kept of an error: its ``code`` (else its kind), and what tells it in any language."""
    if not isinstance(error, UpwellError):
        return {"code": type(error).__name__, "told": str(error)[:500]}
    plain = (bool, int, float, str)
    told = {name: x if isinstance(x, plain) else str(x) for name, x in error.details.items()}
    return {"code": error.code, "details": told}


def end(project: Project, turn: Turn, at: datetime) -> None:
    """Close a turn; what only its training needed goes."""
    project.ledger.close_turn(turn.id, at)
    rmtree(checkpoint_of(project, turn), ignore_errors=True)


def kept(project: Project, turn: Turn, stage: str) -> Mapping[str, Any]:
    """What an earlier stage of the turn recorded."""
    result = project.ledger.stage_result(turn.id, stage)
    if result is None:
        raise StageError("loop.stage_missing", turn=turn.id, stage=stage)
    return result


def task_of(turn: Turn) -> Task:
    """The task that the turn teaches."""
    return plugin("tasks", turn.task)


def seed_of(turn: Turn) -> int:
    """The seed that the turn was begun with."""
    return int(str(turn.options["seed"]))
