from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb

from upwell.records import Event, Json, Prediction
from upwell.stages.clean.attribution import attribute
from upwell.tables import to_table

NOON = datetime(2024, 1, 8, 12, tzinfo=UTC)


def shown(id: str, hours: float, output: Json, user: str = "ann") -> Prediction:
    at = NOON + timedelta(hours=hours)
    return Prediction(id, user, "recommend", "m-1", at, None, output, 1.0)


def clicked(id: str, item: str | None, prediction: str | None = None, user: str = "ann") -> Event:
    return Event(id, "web", user, "click", NOON, prediction=prediction, item=item)


def attributed(
    con: duckdb.DuckDBPyConnection, events: list[Event], predictions: list[Prediction]
) -> dict[str, str | None]:
    table = to_table(Event, events)
    table = table.append_column("seq", [list(range(len(table)))])
    known = con.from_arrow(to_table(Prediction, predictions))
    found = attribute(con, con.from_arrow(table), known, 7.0).to_arrow_table()
    assert found.schema.names == table.schema.names
    assert found.num_rows == len(events)
    return dict(zip(found["id"].to_pylist(), found["prediction"].to_pylist(), strict=True))


def test_the_latest_answer_that_showed_the_item(con: duckdb.DuckDBPyConnection) -> None:
    predictions = [
        shown("older", -2, {"items": ["a", "b"]}),
        shown("latest", -1, {"items": ["b", "a"]}),
        shown("other", -0.5, {"items": ["c"]}),
        shown("later", 0.5, {"items": ["a"]}),
        shown("theirs", -0.1, {"items": ["a"]}, user="bob"),
    ]
    events = [
        clicked("a", "a"),
        clicked("c", "c"),
        clicked("unseen", "d"),
        clicked("named", "a", prediction="older"),
        clicked("none", None),
        clicked("bob", "a", user="bob"),
    ]
    assert attributed(con, events, predictions) == {
        "a": "latest",
        "c": "other",
        "unseen": None,
        "named": "older",
        "none": None,
        "bob": "theirs",
    }


def test_only_within_reach(con: duckdb.DuckDBPyConnection) -> None:
    events = [clicked("in", "in"), clicked("out", "out"), clicked("now", "now")]
    predictions = [
        shown("p-in", -7 * 24, {"items": ["in"]}),
        shown("p-out", -7 * 24 - 0.001, {"items": ["out"]}),
        shown("p-now", 0, {"items": ["now"]}),
    ]
    found = attributed(con, events, predictions)
    assert found == {"in": "p-in", "out": None, "now": "p-now"}


def test_answers_of_one_moment_are_told_apart(con: duckdb.DuckDBPyConnection) -> None:
    twins = [shown(f"p-{n}", -1, {"items": ["a", "a"]}) for n in (1, 3, 2)]
    assert attributed(con, [clicked("a", "a")], twins) == {"a": "p-3"}


def test_other_outputs_hold_no_items(con: duckdb.DuckDBPyConnection) -> None:
    outputs: list[Json] = ["a", 3.5, None, {"items": "a"}, ["a"], {"text": "a"}]
    predictions = [shown(f"p-{n}", -1, output) for n, output in enumerate(outputs)]
    assert attributed(con, [clicked("a", "a")], predictions) == {"a": None}


def test_no_answers_at_all(con: duckdb.DuckDBPyConnection) -> None:
    assert attributed(con, [clicked("a", "a")], []) == {"a": None}
