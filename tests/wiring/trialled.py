"""Two versions of a tiny project, of which the newer is tried on users who like what they like."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.tiny_task import ANSWER
from tests.wiring.turns import DAY, TASK, labelled, opened, spoiled, taken

from upwell.records import PURPOSES, Decision
from upwell.service import Upwell
from upwell.store.trials import Trial, Trials

OLD, NEW = f"{TASK}-0", f"{TASK}-1"
USERS = [f"u{n}" for n in range(600)]


def turned(folder: Path, **tables: Mapping[str, object]) -> tuple[Upwell, Decision]:
    """A project whose second turn passed the gate, and that turn's decision."""
    upwell = opened(folder, **tables)
    upwell.consent(USERS, PURPOSES, since=DAY - timedelta(days=1))
    upwell.capture(labelled(range(400)), now=DAY)
    assert taken(upwell.project, spoiled(64), DAY).act == "promote"
    upwell.capture(labelled(range(400, 410)), now=DAY)
    return upwell, taken(upwell.project, spoiled(0), DAY)


def running(upwell: Upwell) -> Trial:
    found = Trials(upwell.project.journal).running(TASK)
    assert found is not None
    return found


def ask(upwell: Upwell, users: list[str], at: datetime) -> pa.Table:
    return upwell.predict_many(
        [f"{ANSWER.words[n % 6]} x" for n in range(len(users))], users, now=at
    )


def react(upwell: Upwell, asked: pa.Table, users: list[str], at: datetime, **likes: float) -> None:
    """Users like (else dislike) what ``OLD`` or ``NEW`` said with the probability given."""
    rng = np.random.default_rng(at.toordinal())
    chance = {OLD: likes["old"], NEW: likes["new"]}
    upwell.capture(
        [
            {"id": f"{prediction}-said", "user": user, "kind": "thumbs", "at": at,
             "prediction": prediction, "value": 1 if rng.random() < chance[model] else -1}
            for user, prediction, model in zip(
                users, asked["prediction"].to_pylist(), asked["model"].to_pylist(), strict=True
            )
        ],
        now=at,
    )  # fmt: skip


def live(upwell: Upwell, users: list[str], day: int, **likes: float) -> datetime:
    """A day of questions and reactions; the moment when all of it counts."""
    at = DAY + timedelta(days=day, hours=1)
    react(upwell, ask(upwell, users, at), users, at + timedelta(hours=1), **likes)
    return at + timedelta(days=1, hours=2)


def champion(upwell: Upwell) -> str:
    found = upwell.project.ledger.champion(TASK)
    assert found is not None
    return found.id


def last(upwell: Upwell) -> Decision:
    return upwell.project.ledger.decisions(TASK)[-1]
