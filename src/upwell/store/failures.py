"""What went wrong with a turn, kept under its id: told in its history, counted by the watch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from upwell.records import Json
from upwell.store import schema as sql
from upwell.store.database import reading, writing
from upwell.store.journal import Journal
from upwell.tables import canonical_json, micros

FAILED = "failed."
"""Begins the names under which failures stand among the results of a turn's stages."""


def record_failure(journal: Journal, turn: str, details: Mapping[str, Json], at: datetime) -> int:
    """Keep one failure of a turn; returns how often it has failed by now."""
    results = sql.stage_results
    counted = select(func.count()).where(results.c.turn == turn, results.c.stage.startswith(FAILED))
    with writing(journal.engine) as connection:
        number = int(connection.execute(counted).scalar_one()) + 1
        row = {"turn": turn, "stage": f"{FAILED}{number:06}", "result": canonical_json(details)}
        connection.execute(insert(results).values(**row, at=micros(at)))
    return number


def failures(journal: Journal, turn: str) -> list[dict[str, Any]]:
    """Every failure of a turn, oldest first."""
    results = sql.stage_results.c
    chosen = select(results.result).where(results.turn == turn, results.stage.startswith(FAILED))
    with reading(journal.engine) as connection:
        found = connection.execute(chosen.order_by(results.stage)).scalars().all()
    return [dict(json.loads(text)) for text in found]
