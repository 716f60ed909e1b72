"""Users of known honesty, rated by their signs and what the model believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Json, Prediction, Signal
from upwell.stages.clean import trust
from upwell.stages.clean.rated import doubted_users, rated
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
Said = tuple[str, int, str, float]
MakeRows = Callable[[Iterable[Said]], DuckDBPyRelation]
EACH = 60


@pytest.fixture
def world(
    con: DuckDBPyConnection, make_rows: MakeRows
) -> tuple[DuckDBPyRelation, DuckDBPyRelation, DuckDBPyRelation]:
    """Eight honest users and two who say anything; signals, predictions with scores, rows."""
    rng = np.random.default_rng(0)
    said, shown = [], []
    for n in range(10 * EACH):
        user, belief = n % 10, float(rng.beta(4, 1.5))
        is_right = rng.random() < belief
        is_honest = rng.random() > (0.03 if user < 8 else 0.5)
        said.append((f"u{user}", 1 if is_right == is_honest else -1, f"q{n}", 61.0 * n))
        output: dict[str, Json] = {"answers": ["a"], "scores": [belief]}
        shown.append(Prediction(f"p{n}", f"u{user}", "t", "m", NOON, f"q{n}", output, 1.0))
    signals = to_table(Signal, [Signal(f"web/{n}", f"p{n}", 1) for n in range(len(said))])
    seqs = pa.array(range(len(said)), pa.int64())
    told = con.from_arrow(signals.append_column("seq", seqs))
    return told, con.from_arrow(to_table(Prediction, shown)), make_rows(said)


World = tuple[DuckDBPyRelation, DuckDBPyRelation, DuckDBPyRelation]


def test_who_says_anything_is_told_from_the_honest(con: DuckDBPyConnection, world: World) -> None:
    signals, predictions, rows = world
    heard = trust.heard(con, rows, ConstantExpression(False), None)
    found = rated(con, heard, signals, predictions, 0.05)
    assert found is not None
    users = dict(found.select("user", "reliability").distinct().fetchall())
    assert min(users[f"u{n}"] for n in range(8)) > 0.6
    assert max(users[f"u{n}"] for n in (8, 9)) < 0.45
    doubts = doubted_users(found).select("user", "code", "factor").distinct().fetchall()
    assert sorted(doubts) == [(f"u{n}", "clean.unreliable", 1.0) for n in (8, 9)]


def test_what_is_judged_by_rates_nobody_and_is_not_rated(
    con: DuckDBPyConnection, world: World
) -> None:
    signals, predictions, rows = world
    judged = ColumnExpression("seq") >= ConstantExpression(300)
    found = rated(con, trust.heard(con, rows, judged, None), signals, predictions, 0.05)
    assert found is not None
    assert max(seq for (seq,) in found.select("seq").fetchall()) == 299
    everything = trust.heard(con, rows, ConstantExpression(True), None)
    assert rated(con, everything, signals, predictions, 0.05) is None


def test_without_scores_nobody_is_rated(con: DuckDBPyConnection, world: World) -> None:
    signals, predictions, rows = world
    silent = predictions.project("* REPLACE ('\"a\"' AS output)")
    heard = trust.heard(con, rows, ConstantExpression(False), None)
    assert rated(con, heard, signals, silent, 0.05) is None
