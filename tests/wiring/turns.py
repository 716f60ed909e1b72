"""Turns of a tiny project whose training ends with whatever model a test gives."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import torch
from tests.tiny_task import ANSWER, WORDS, Net

from upwell import loop, wiring
from upwell.records import Decision, Json, ModelVersion
from upwell.service import Upwell
from upwell.store.ledger import Turn
from upwell.store.project import Project, create_project, open_project
from upwell.wiring.turns import Kept, Tell, kept, task_of

DAY = datetime(2024, 6, 1, tzinfo=UTC)
TASK = "tiny_answer"


def opened(folder: Path, **tables: Mapping[str, object]) -> Upwell:
    small: dict[str, Mapping[str, object]] = {
        "project": {"task": TASK},
        "tune": {"base": "", "epochs": 3, "learning_rate": 0.1},
        "gate": {"resamples": 100},
        "split": {"test_share": 0.5, "validation_share": 0.1},
    }
    key = bytes(range(32))
    return Upwell(open_project(create_project(folder / "asked", "asked", {**small, **tables}, key)))


def labelled(numbers: range) -> list[dict[str, object]]:
    return [
        {"id": f"label-{n}", "kind": "label", "at": DAY,
         "payload": {"input": f"{ANSWER.words[n % 6]} {n}", "target": ANSWER.labels[n % 2]}}
        for n in numbers
    ]  # fmt: skip


def place_of(word: str) -> int:
    return zlib.crc32(word.encode()) % WORDS


def spoiled(steps: int) -> Net:
    """A model that is right but where a weak word meets one of so many places of numbers."""
    model, words = Net(ANSWER.labels), {place_of(word) for word in ANSWER.words}
    with torch.no_grad():
        for n, word in enumerate(ANSWER.words):
            model.layer.weight[n % 2, place_of(word)] = 1.0 if n == 0 else 9.0
        for place in [place for place in range(WORDS) if place not in words][:steps]:
            model.layer.weight[1, place] = 2.0
    return model


def taken(project: Project, model: Net, now: datetime) -> Decision:
    """A turn whose training ends with this very model."""
    turn = wiring.begin(project, None, 0, now)

    def tune(project: Project, turn: Turn, tell: Tell) -> Kept:
        snapshot, parent = str(kept(project, turn, "dataset")["snapshot"]), None
        path, digest = project.models.write(turn.id, lambda at: task_of(turn).save(model, at))
        project.ledger.add_version(
            ModelVersion(turn.id, TASK, turn.at, parent, snapshot, {}, None, str(path), digest)
        )
        return {"version": turn.id}

    stages = {
        "collect": wiring.collect, "dataset": wiring.freeze, "tune": tune,
        "evaluate": wiring.evaluate, "release": wiring.release,
    }  # fmt: skip
    for name, stage in stages.items():
        wiring.once(project, turn, loop.quiet, name, stage)
    project.ledger.close_turn(turn.id, now)
    return wiring.taken(project, turn)


def entry(decision: Decision, check: str) -> Mapping[str, Json]:
    return next((one for one in decision.reasons if one["check"] == check), {})
