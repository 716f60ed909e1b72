"""Projects that answer: films for 943 people, and messages that are wanted or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from bench.datasets import data_folder
from upwell import loop
from upwell.interfaces.demo import run_demo
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project

LABELS = 1000
DAY = datetime(2026, 1, 1, tzinfo=UTC)


def recommending(folder: Path) -> Project:
    """MovieLens-100K in full; its first turn and one more are behind it."""
    return run_demo(folder, None, 1, 0, _quietly, datetime.now(UTC)).project


def classifying(folder: Path) -> Project:
    """Text messages labelled ham or spam, a head on the default encoder; one turn is behind it."""
    tables: dict[str, Mapping[str, object]] = {
        "project": {"task": "text_classification"}, "tune": {"tuning": "head"},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, "messages", tables)))
    table = pq.read_table(data_folder() / "sms-spam" / "sms.parquet").slice(0, LABELS)
    upwell.capture(
        {"id": f"m{n}", "kind": "label", "at": DAY + timedelta(minutes=n),
         "payload": {"input": row["text"], "target": row["label"]}}
        for n, row in enumerate(table.to_pylist())
    )  # fmt: skip
    loop.turn(upwell.project, now=datetime.now(UTC))
    return upwell.project


def users_of(project: Project) -> list[str]:
    """Everybody who did something."""
    found = project.journal.events_after(0, 1_000_000)["user"].unique().to_pylist()
    return sorted(str(user) for user in found if user)


def messages(count: int) -> list[str]:
    """Messages that no model was taught."""
    table = pq.read_table(data_folder() / "sms-spam" / "sms.parquet").slice(LABELS, count)
    return [str(text) for text in table["text"].to_pylist()]


def _quietly(_: str, __: float, ___: Mapping[str, object]) -> None:
    pass
