"""From signals to what each one counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Event, Prediction, Signal
from upwell.settings import TrustSettings
from upwell.stages.clean import trust
from upwell.tables import to_table
from upwell.words import catalogue

BEGIN = datetime(2024, 1, 1, 12, 0, 7, tzinfo=UTC)
Said = tuple[str, int, str, float]
Hear = Callable[[Iterable[Said]], DuckDBPyRelation]
MakeRows = Callable[[Iterable[Said]], DuckDBPyRelation]
NEVER = ConstantExpression(False)


def weights(rows: DuckDBPyRelation) -> list[float]:
    return [weight for (weight,) in rows.order("seq, id").select("weight").fetchall()]


def test_each_check_sees_what_those_before_it_left(
    con: DuckDBPyConnection, hear: Hear, tmp_path: Path
) -> None:
    again = [("ann", 1, "q", 60.0 * n) for n in range(8)]
    others = [("ann", 1 if n % 2 else -1, f"q{n}", 600.0 + 60.0 * n) for n in range(4)]
    doubts = trust.doubted(con, tmp_path, hear([*again, *others]), TrustSettings(cap=4))
    assert trust.totals(doubts) == {"clean.duplicate": 7, "clean.cap": 1}


def test_factors_multiply_and_labels_and_corrections_follow(
    con: DuckDBPyConnection, make_rows: MakeRows
) -> None:
    rows = make_rows([("ann", 1, "q", 0), ("ann", -1, "r", 60), ("bob", 1, "s", 120)])
    label = rows.project("* REPLACE (NULL::BIGINT AS sign, 7::BIGINT AS seq)").limit(1)
    right = rows.filter("seq = 1").project("* REPLACE (id || '#correction' AS id, 1 AS sign)")
    doubts = con.sql(
        """SELECT * FROM (VALUES (1::BIGINT, 'web/1', 'ann', 'clean.rate', 0.5, '{}'),
        (1, 'web/1', 'ann', 'clean.identical', 0.5, '{}'), (2, 'web/2', 'bob', 'clean.cap', 0, '{}')
        ) AS t(seq, event, "user", code, factor, detail)"""
    )
    rated = con.sql("SELECT 0::BIGINT AS seq, 0.25 AS reliability UNION SELECT 7, 0.5")
    found = trust.trusted(con, rows.union(label).union(right), doubts, rated)
    assert weights(found) == [1.0, 0.25, 0.25, 0.0, 1.0]
    told = found.order("seq, id").select("reliability").fetchall()
    assert [value for (value,) in told] == [0.25, 1.0, 1.0, 1.0, 1.0]
    assert found.columns == rows.columns


def test_without_doubts_the_rows_are_the_same(con: DuckDBPyConnection, make_rows: MakeRows) -> None:
    rows = make_rows([("ann", 1, "q", 0)])
    assert trust.trusted(con, rows, trust.none(con)) is rows


def test_a_correction_is_no_repetition_of_the_thumb_before_it(
    con: DuckDBPyConnection, make_rows: MakeRows, tmp_path: Path
) -> None:
    rows = make_rows([("ann", -1, "q", 0), ("ann", -1, "q", 60)])
    right = rows.filter("seq = 1").project("* REPLACE (id || '#correction' AS id, 1 AS sign)")
    heard = trust.heard(con, rows.union(right), NEVER, None)
    doubts = trust.doubted(con, tmp_path, heard, TrustSettings())
    assert doubts.select("seq", "code").fetchall() == [(0, "clean.duplicate")]


def test_what_happens_later_changes_nothing_that_is_judged_or_past(
    con: DuckDBPyConnection, make_rows: MakeRows, tmp_path: Path
) -> None:
    said = [("ann", 1, "q", 0.0), ("ann", 1, "q", 600.0), ("ann", -1, "q", 3600.0)]
    past = trust.heard(con, make_rows(said), NEVER, BEGIN + timedelta(minutes=30))
    doubts = trust.doubted(con, tmp_path, past, TrustSettings())
    assert doubts.select("seq", "code").fetchall() == [(1, "clean.duplicate")]
    judged = ColumnExpression("at") >= ConstantExpression(BEGIN + timedelta(minutes=30))
    both = trust.heard(con, make_rows(said), judged, BEGIN + timedelta(minutes=30))
    doubts = trust.doubted(con, tmp_path, both, TrustSettings())
    assert doubts.select("seq", "code").fetchall() == [(1, "clean.duplicate")]


def test_nothing_but_no_is_heard_like_everything_else(
    con: DuckDBPyConnection, hear: Hear, tmp_path: Path
) -> None:
    many = [(f"u{n % 7}", -1, f"q{n}", 61.0 * n) for n in range(400)]
    alone = [("ann", -1, f"q{n}", 61.0 * n) for n in range(400)]
    for said in (many, alone):
        assert not trust.totals(trust.doubted(con, tmp_path, hear(said), TrustSettings()))


def test_everything_from_one_user_is_capped(
    con: DuckDBPyConnection, hear: Hear, tmp_path: Path
) -> None:
    alone = [("ann", 1 if n % 2 else -1, f"q{n}", 61.0 * n) for n in range(900)]
    found = trust.totals(trust.doubted(con, tmp_path, hear(alone), TrustSettings(cap=500)))
    assert found == {"clean.cap": 400}


def test_every_doubt_has_its_sentences() -> None:
    for lang in ("en", "zh"):
        known = catalogue(lang)
        shorts = {key for key in known if key.startswith("clean.reason.")}
        assert shorts
        assert {key.replace(".reason.", ".") for key in shorts} <= set(known)


@pytest.fixture
def unheard(con: DuckDBPyConnection, make_rows: MakeRows) -> list[tuple[object, ...]]:
    """Thumbs on a prediction that nobody knows, on nothing, and on one that made its row."""
    thumbs = [
        Event(str(n), "web", "ann", "thumbs", BEGIN, prediction=shown, value=1.0)
        for n, shown in enumerate(("known", "lost", None))
    ]
    seqs = pa.array([0, 1, 2], pa.int64())
    events = con.from_arrow(to_table(Event, thumbs).append_column("seq", seqs))
    said = [Signal(f"web/{n}", one.prediction, 1) for n, one in enumerate(thumbs)]
    signals = con.from_arrow(to_table(Signal, said).append_column("seq", seqs))
    shown = [Prediction("known", "ann", "t", "m", BEGIN, "q", "a", 1.0)]
    predictions = con.from_arrow(to_table(Prediction, shown))
    permitted = con.from_arrow(pa.table({"user": ["ann"]}))
    rows = make_rows([("ann", 1, "q", 0)])
    found = trust.unheard(con, signals, events, predictions, rows, permitted, "answer")
    return found.order("seq").select("seq", "code", "factor", "detail").fetchall()


def test_feedback_on_an_unknown_prediction_says_nothing_and_is_told(
    unheard: list[tuple[object, ...]],
) -> None:
    assert unheard == [
        (1, "clean.unknown_prediction", 0.0, '{"prediction":"lost"}'),
        (2, "clean.no_answer", 0.0, '{"prediction":""}'),
    ]


def test_nobody_says_nothing(con: DuckDBPyConnection, hear: Hear, tmp_path: Path) -> None:
    assert trust.totals(trust.doubted(con, tmp_path, hear([]), TrustSettings())) == {}
