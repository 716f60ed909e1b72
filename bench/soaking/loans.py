"""A small project on real loans (German credit): one turn behind it, feedback for the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from bench.datasets import data_folder
from upwell import loop
from upwell.records import PURPOSES, Json
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project

TASK, STAGES = "tabular", ("collect", "dataset", "tune", "evaluate", "release")
LABELS, ASKED, CLERKS, SEED = 500, 300, 60, 4
DAY = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = DAY + timedelta(days=2)
OLD, NEW = f"{TASK}-0", f"{TASK}-1"


@cache
def loans() -> list[tuple[dict[str, Json], str]]:
    """The columns of each loan, and whether it was paid back; in a fixed random order."""
    table = pq.read_table(data_folder() / "tabular" / "german_credit.parquet")
    order = np.random.default_rng(SEED).permutation(table.num_rows)
    rows = table.take(order).to_pylist()
    return [(row, "paid" if row.pop("label") == 1 else "lost") for row in rows]


def begun(folder: Path) -> Path:
    """The project's folder after its first turn; ``SECOND`` is when the next one may begin."""
    tables: dict[str, dict[str, object]] = {
        "project": {"task": TASK},
        "tune": {"epochs": 5},
        "gate": {"resamples": 300, "promote": "not_worse"},
        "split": {"test_share": 0.3, "validation_share": 0.1},
    }
    upwell, known = Upwell(open_project(create_project(folder, "loans", tables))), loans()
    upwell.capture(
        {"id": f"label-{n}", "kind": "label", "at": DAY, "payload": {"input": row, "target": told}}
        for n, (row, told) in enumerate(known[:LABELS])
    )
    loop.turn(upwell.project, now=DAY)
    asked, later = known[LABELS : LABELS + ASKED], DAY + timedelta(days=1)
    clerks = [f"clerk{n % CLERKS}" for n in range(len(asked))]
    upwell.consent(sorted(set(clerks)), PURPOSES, since=DAY)
    answers = upwell.predict_many([row for row, _ in asked], clerks, now=later)
    upwell.capture(
        {"id": f"said-{n}", "user": clerks[n], "kind": "correction", "prediction": name,
         "at": later + timedelta(minutes=n), "payload": {"correction": asked[n][1]}}
        for n, name in enumerate(answers["prediction"].to_pylist())
    )  # fmt: skip
    return folder


def serving(project: Project) -> str:
    """The version that serves."""
    champion = project.ledger.champion(TASK)
    return champion.id if champion else ""
