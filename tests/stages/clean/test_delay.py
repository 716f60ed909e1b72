"""Silence becomes a no when its time has passed, and a yes when the outcome comes after all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Event, Json, Prediction
from upwell.stages.clean.delay import immature, mature, silences
from upwell.tables import schema, to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
DAYS = {"purchase": 14.0}


def day(n: float) -> datetime:
    return NOON + timedelta(days=n)


def shown(con: DuckDBPyConnection, *outputs: Json) -> DuckDBPyRelation:
    rows = [
        Prediction(f"p{n}", "ann", "t", "m", day(n), {}, output, 1.0)
        for n, output in enumerate(outputs)
    ]
    seqs = pa.array(range(1, len(rows) + 1), pa.int64())
    return con.from_arrow(to_table(Prediction, rows).append_column("seq", seqs))


def happened(con: DuckDBPyConnection, *events: Event) -> DuckDBPyRelation:
    seqs = pa.array(range(len(events)), pa.int64())
    return con.from_arrow(to_table(Event, events).append_column("seq", seqs))


def bought(at: float, item: str | None = None, prediction: str | None = None) -> Event:
    return Event(f"b{at}", "web", "ann", "purchase", day(at), item=item, prediction=prediction)


def test_every_item_of_a_list_awaits_its_outcome(con: DuckDBPyConnection) -> None:
    lists = shown(con, {"items": ["i1", "i2"]}, {"items": ["i2", "i3"]})
    found = silences(con, happened(con, bought(2, "i2")), lists, DAYS, day(99))
    assert found.columns == [*schema(Event).names, "seq"]
    rows = found.order("id").to_arrow_table()
    assert rows["id"].to_pylist() == ["p0/purchase/i1", "p1/purchase/i3"]
    assert rows["item"].to_pylist() == ["i1", "i3"]
    assert rows["prediction"].to_pylist() == ["p0", "p1"]
    assert set(rows["kind"].to_pylist()) == {"silence"}
    assert rows["at"].to_pylist() == [day(14), day(15)]
    assert json.loads(rows["payload"][0].as_py()) == {"awaited": "purchase"}


def test_what_was_bought_before_says_nothing_of_what_is_shown(con: DuckDBPyConnection) -> None:
    lists = shown(con, "", {"items": ["i1"]})
    found = silences(con, happened(con, bought(0.5, "i1")), lists, DAYS, day(99))
    assert sorted(found.select("id").fetchall()) == [("p0/purchase",), ("p1/purchase/i1",)]


def test_an_answer_that_is_no_list_awaits_what_names_it(con: DuckDBPyConnection) -> None:
    answers = shown(con, "a", "b")
    found = silences(con, happened(con, bought(30, prediction="p1")), answers, DAYS, day(99))
    assert found.select("id", "item").fetchall() == [("p0/purchase", None)]


def test_a_late_outcome_ends_the_silence_from_then_on(con: DuckDBPyConnection) -> None:
    answers, late = shown(con, "a"), happened(con, bought(20, prediction="p0"))
    before = mature(silences(con, late, answers, DAYS, day(16)), day(16))
    assert before.select("prediction").fetchall() == [("p0",)]
    assert not silences(con, late, answers, DAYS, day(21)).fetchall()


def test_silence_within_the_window_is_held_back_with_its_reason(con: DuckDBPyConnection) -> None:
    waiting = silences(con, happened(con), shown(con, "a"), DAYS, day(3))
    assert not mature(waiting, day(3)).fetchall()
    (row,) = immature(waiting, day(3)).fetchall()
    seq, event, user, code, factor, detail = row
    assert (event, user, code, factor) == ("upwell/p0/purchase", "ann", "clean.not_mature", 0.0)
    assert json.loads(detail) == {"awaited": "purchase", "until": "2024-01-15 12:00:00"}
    assert seq < 0


def test_numbers_of_silences_are_their_own(con: DuckDBPyConnection) -> None:
    lists = shown(con, *[{"items": [f"i{k}" for k in range(30)]}] * 20)
    found = silences(con, happened(con), lists, {"purchase": 3.0, "return": 1.0}, day(99))
    seqs = [seq for (seq,) in found.select("seq").fetchall()]
    assert len(set(seqs)) == len(seqs) == 20 * 30 * 2
    assert max(seqs) < 0
