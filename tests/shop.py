"""A shop that has learned from labels and opinions, and how commands of it are asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_task import ANSWER

from upwell import loop
from upwell.interfaces.cli.main import run
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project

NOW = datetime(2024, 6, 1, tzinfo=UTC)
USERS = [f"ann{n}@shop" for n in range(12)]
TABLES: dict[str, dict[str, object]] = {
    "project": {"task": "tiny_answer"},
    "tune": {"base": "", "epochs": 2, "learning_rate": 0.1},
    "gate": {"resamples": 100},
}
BEFORE = [
    {"role": "system", "content": "Name it."},
    {"role": "user", "content": "Is it iron?"},
    {"role": "assistant", "content": "Perhaps."},
]
Printed = pytest.CaptureFixture[str]


def told(n: int) -> Iterator[dict[str, Any]]:
    """A label, or what a user likes and dislikes, about one input; some are conversations."""
    text = f"{ANSWER.words[n % 6]} {n}"
    asked: Any = [*BEFORE, {"role": "user", "content": text}] if n % 5 == 0 else text
    right, wrong = ANSWER.labels[n % 2], ANSWER.labels[1 - n % 2]
    if n % 3 == 0:
        yield {"id": f"{n}", "kind": "label", "at": NOW, "source": "lab",
               "payload": {"input": asked, "target": right}}  # fmt: skip
    for user, (target, value) in enumerate([(right, 1.0), (wrong, -1.0)][n % 3 == 0 :]):
        at = NOW - timedelta(hours=n)
        yield {"id": f"{n}-{user}", "kind": "thumbs", "at": at, "user": USERS[n % 12],
               "source": "web" if n % 7 else "bot", "value": value,
               "payload": {"input": asked, "target": target}}  # fmt: skip


def shop_in(folder: Path) -> Upwell:
    """A project of the tiny task about answers, after its first turn."""
    upwell = Upwell(open_project(create_project(folder, "shop", TABLES)))
    upwell.consent(USERS, PURPOSES, since=NOW - timedelta(days=90))
    upwell.capture([event for n in range(150) for event in told(n)], now=NOW)
    loop.turn(upwell.project, now=NOW)
    return upwell


def answer(printed: Printed, *arguments: str, code: int = 0) -> dict[str, Any]:
    printed.readouterr()
    assert run([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(printed.readouterr().out)
    return found
