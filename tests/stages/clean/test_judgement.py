"""Weighing up: by place and by who reacts, never what a model is judged by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection

from upwell.records import Event, Example, Prediction, Signal
from upwell.settings import TrustSettings
from upwell.stages.clean.doubts import Told, judge_signals
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
LISTS = 1600


@pytest.fixture
def told(con: DuckDBPyConnection) -> Told:
    """Lists of two items; the second is looked at half as often. The last quarter is judged."""
    rng = np.random.default_rng(0)
    at = [NOON + timedelta(minutes=n) for n in range(LISTS)]
    shown = [
        Prediction(f"p{n}", f"u{n % 40}", "t", "m", at[n], {},
                   {"items": [f"i{n % 5}", f"i{n % 5 + 1}"], "explored": n % 2}, 0.1)
        for n in range(LISTS)
    ]  # fmt: skip
    clicks = [(n, k) for n in range(LISTS) for k in (0, 1) if rng.random() < (0.5, 0.25)[k]]
    keys = [f"web/{place}" for place in range(len(clicks))]
    users = [f"u{n % 40}" for n, _ in clicks]
    events = [
        Event(str(m), "web", users[m], "click", at[n], prediction=f"p{n}", item=f"i{n % 5 + k}")
        for m, (n, k) in enumerate(clicks)
    ]
    rows = [
        Example(key, users[m], "t", "", str(events[m].item), 1, 1.0, 1.0, None, "", at[n], (key,))
        for m, (key, (n, _)) in enumerate(zip(keys, clicks, strict=True))
    ]
    said = [Signal(key, f"p{n}", 1) for key, (n, _) in zip(keys, clicks, strict=True)]
    seqs = pa.array(range(len(clicks)), pa.int64())
    numbers = pa.array(range(LISTS), pa.int64())
    judged = ColumnExpression("at") >= ConstantExpression(at[LISTS * 3 // 4])
    return Told(
        signals=con.from_arrow(to_table(Signal, said).append_column("seq", seqs)),
        events=con.from_arrow(to_table(Event, events).append_column("seq", seqs)),
        predictions=con.from_arrow(to_table(Prediction, shown).append_column("seq", numbers)),
        rows=con.from_arrow(to_table(Example, rows).append_column("seq", seqs)),
        permitted=con.from_arrow(pa.table({"user": [f"u{n}" for n in range(40)]})),
        silences=None,
        about="item",
        judged=judged,
        as_of=None,
        now=at[-1],
    )


def test_by_default_only_what_one_user_pushes_is_doubted_about_items(
    con: DuckDBPyConnection, told: Told, tmp_path: Path
) -> None:
    found = judge_signals(con, tmp_path, told, TrustSettings(), 0.05)
    assert set(found.doubts.to_arrow_table()["code"].to_pylist()) == {"clean.pushed"}
    assert found.rated is None


def test_where_nothing_is_to_be_doubted_nothing_is(
    con: DuckDBPyConnection, told: Told, tmp_path: Path
) -> None:
    found = judge_signals(con, tmp_path, told, TrustSettings(about="nothing"), 0.05)
    assert found.doubts.fetchall() == []


def test_what_is_learned_from_is_weighed_and_what_is_judged_is_not(
    con: DuckDBPyConnection, told: Told, tmp_path: Path
) -> None:
    settings = TrustSettings(position="estimate", selection="estimate")
    found = judge_signals(con, tmp_path, told, settings, 0.05).doubts
    doubts = found.filter("code <> 'clean.pushed'").to_arrow_table()
    assert set(doubts["code"].to_pylist()) == {"clean.position", "clean.selection"}
    judged = {seq for (seq,) in told.rows.filter(told.judged).select("seq").fetchall()}
    assert judged
    assert not judged & set(doubts["seq"].to_pylist())
    by_place = dict(zip(doubts["code"].to_pylist(), doubts["factor"].to_pylist(), strict=True))
    assert by_place["clean.position"] == pytest.approx(2.0, rel=0.25)
