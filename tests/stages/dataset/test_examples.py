from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from upwell.records import Event, Example, Json, Prediction
from upwell.stages.behaviour.features import FEATURES, features
from upwell.stages.clean.signals import signals
from upwell.stages.dataset.examples import About, Scale, examples, owned
from upwell.tables import schema, to_table

START = datetime(2024, 1, 1, tzinfo=UTC)


def rating(n: int, stars: float, user: str = "ann", source: str = "web") -> Event:
    at = START + timedelta(days=n)
    return Event(f"r{n}", source, user, "rating", at, item=f"i{n}", value=stars)


def profile(n: int, day: float, **columns: str) -> Event:
    return Event(f"p{n}", "crm", "ann", "user", START + timedelta(days=day), dict(columns))


def shown(id: str, input: str, output: str, task: str = "classify") -> Prediction:
    return Prediction(id, "ann", task, "m-1", START, input, output, 0.25)


def rows(
    con: duckdb.DuckDBPyConnection,
    events: list[Event],
    predictions: tuple[Prediction, ...] = (),
    task: str = "recommend",
    group: str = "",
    keyed: bool = False,
    about: About = "item",
    scales: Mapping[str, Scale] | None = None,
) -> dict[str, dict[str, Any]]:
    """Examples by id; ``events`` run through the stages before."""
    table = to_table(Event, events).append_column("seq", [list(range(len(events)))])
    said = signals(table, {})
    world = con.from_arrow(table)
    world = owned(con, world) if about == "answer" else world
    found = examples(
        con,
        events=world,
        signals=con.from_arrow(said.drop_columns(["seq"]) if keyed else said),
        features=features(con, world, 7.0),
        predictions=con.from_arrow(to_table(Prediction, predictions)),
        permitted=pa.array(["ann"]),
        label_sources=("history",),
        task=task,
        group=group,
        about=about,
        scales=scales,
    ).to_arrow_table()
    assert found.drop_columns(["seq"]).schema.names == schema(Example).names
    assert found.drop_columns(["seq"]).cast(schema(Example)).num_rows == len(found)
    assert set(found["task"].to_pylist()) <= {task}
    return {row["id"]: row for row in found.to_pylist()}


def learned(found: dict[str, dict[str, Any]], *names: str) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(row[name] for name in names) for key, row in found.items()}


def test_labels_feedback_and_context(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        rating(0, 5.0, source="history"),
        rating(1, 3.0, source="history"),
        rating(2, 1.0, source="history"),
        rating(3, 5.0),
        rating(4, 3.0),
        rating(5, 1.0),
    ]
    wanted = {
        "history/r0": ("i0", None, 1.0),
        "history/r1": ("i1", None, 1.0),
        "history/r2": ("i2", None, 0.0),
        "web/r3": ("i3", 1, 1.0),
        "web/r4": ("i4", None, 0.0),
        "web/r5": ("i5", -1, 1.0),
    }
    for keyed in (False, True):
        found = rows(con, events, keyed=keyed)
        assert learned(found, "target", "sign", "weight") == wanted
    assert found["web/r3"]["sources"] == ["web/r3"]
    assert found["web/r3"]["input"] == ""


def test_who_does_not_permit_is_left_out(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, [rating(0, 5.0), rating(1, 5.0, user="bob"), profile(0, 0, gender="F")])
    assert found.keys() == {"web/r0"}


def test_features_are_those_of_the_moment_before(con: duckdb.DuckDBPyConnection) -> None:
    found = rows(con, [rating(0, 5.0), rating(1, 1.0)])
    place = FEATURES.index("mean_rating")
    assert [found[f"web/r{n}"]["features"][place] for n in (0, 1)] == [0.0, 5.0]
    assert len(found["web/r0"]["features"]) == len(FEATURES)


def test_groups_are_what_was_known_by_then(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        rating(0, 5.0),
        profile(0, 0.5, gender="F", **{"a/b": "x"}),
        rating(1, 5.0),
        profile(1, 1.5, age="24"),
        profile(2, 2.0, gender="M"),
        profile(3, 2.0, gender="D"),
        rating(2, 5.0),
    ]
    groups = learned(rows(con, events, group="gender"), "group")
    assert groups == {"web/r0": ("",), "web/r1": ("gender=F",), "web/r2": ("gender=D",)}
    assert learned(rows(con, events, group="a/b"), "group")["web/r2"] == ("a/b=x",)
    assert set(learned(rows(con, events), "group").values()) == {("",)}


def test_answers_and_their_corrections(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        Event("1", "web", "ann", "thumbs", START, prediction="p1", value=1.0),
        Event("2", "web", "ann", "correction", START, {"correction": "news"}, "p2"),
        Event("3", "web", "ann", "thumbs", START, prediction="other", value=1.0),
        Event("4", "history", "ann", "label", START, {"input": "ha", "target": "fun"}),
        Event("5", "web", "ann", "thumbs", START, prediction="lost", value=1.0),
    ]
    predictions = (
        shown("p1", "goal!", "sport"),
        shown("p2", "vote", "sport"),
        shown("other", "hello", "hi", task="chat"),
    )
    found = rows(con, events, predictions, task="classify", about="answer")
    assert learned(found, "input", "target", "sign", "weight", "propensity") == {
        "web/1": ("goal!", "sport", 1, 1.0, 0.25),
        "web/2": ("vote", "sport", -1, 1.0, 0.25),
        "web/2#correction": ("vote", "news", 1, 1.0, None),
        "history/4": ("ha", "fun", None, 1.0, None),
    }


def test_a_correction_that_changes_nothing_is_a_yes(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        Event("1", "web", "ann", "correction", START, {"correction": " sport "}, "p1"),
        Event("2", "web", "ann", "correction", START,
              {"input": "ha", "target": "fun", "correction": "fun"}),
    ]  # fmt: skip
    predictions = (shown("p1", "goal!", "sport"),)
    found = rows(con, events, predictions, task="classify", about="answer")
    assert learned(found, "target", "sign") == {"web/1": ("sport", 1), "web/2": ("fun", 1)}


def test_an_item_that_was_shown_keeps_its_propensity(con: duckdb.DuckDBPyConnection) -> None:
    event = Event("1", "web", "ann", "click", START, prediction="p", item="i")
    answer = Prediction("p", "ann", "recommend", "m-1", START, None, {"items": ["i"]}, 0.5)
    found = rows(con, [event], (answer,))
    assert learned(found, "input", "target", "propensity") == {"web/1": ("", "i", 0.5)}


def test_nobody_and_nothing(con: duckdb.DuckDBPyConnection) -> None:
    assert rows(con, [profile(0, 0, gender="F")]) == {}
    assert rows(con, [Event("1", "web", "ann", "visit", START)]) == {}


def answered(id: str, *answers: str) -> Prediction:
    return Prediction(id, "ann", "classify", "m", START, "hello", {"answers": list(answers)}, 0.25)


def test_an_answer_is_the_first_that_was_shown_or_the_one_that_is_named(
    con: duckdb.DuckDBPyConnection,
) -> None:
    events = [
        Event("1", "web", "ann", "thumbs", START, prediction="one", value=-1.0),
        Event("2", "web", "ann", "thumbs", START, prediction="two", value=1.0),
        Event("3", "web", "ann", "thumbs", START, {"target": "b"}, "two", value=1.0),
        Event("4", "web", "ann", "thumbs", START, prediction="none", value=1.0),
        Event("5", "web", "ann", "correction", START, {"correction": "c"}, "none"),
        Event("6", "web", "ann", "thumbs", START, {"input": "x", "target": "y"}, value=-1.0),
        Event("7", "web", "ann", "visit", START, {"input": "x", "target": "y"}),
    ]
    predictions = (answered("one", "a"), answered("two", "a", "b"), answered("none"))
    found = rows(con, events, predictions, task="classify", about="answer")
    assert learned(found, "input", "target", "sign", "propensity") == {
        "web/1": ("hello", "a", -1, 0.25),
        "web/2": ("hello", "a", 1, None),
        "web/3": ("hello", "b", 1, None),
        "web/5#correction": ("hello", "c", 1, None),
        "web/6": ("x", "y", -1, None),
        "web/7": ("x", "y", None, None),
    }
    assert found["web/7"]["weight"] == 0.0
    assert set(map(tuple, (row["features"] for row in found.values()))) == {()}


def test_labels_of_nobody_need_no_consent_and_those_of_users_do(
    con: duckdb.DuckDBPyConnection,
) -> None:
    said: dict[str, Json] = {"input": {"b": 1, "a": [2.5]}, "target": 3}
    events = [
        Event("1", "web", "", "label", START, said),
        Event("2", "web", "", "label", START, {**said, "target": True}),
        Event("3", "web", "bob", "label", START, said),
        Event("4", "web", "", "label", START, {"input": " ", "target": "x"}),
        Event("5", "web", "", "label", START, {"input": "x", "target": ""}),
        Event("6", "web", "", "label", START, {"input": "x", "target": None}),
    ]
    found = rows(con, events, task="classify", about="answer")
    assert learned(found, "input", "target", "sign", "weight") == {
        "web/1": ('{"a":[2.5],"b":1}', "3", None, 1.0),
        "web/2": ('{"a":[2.5],"b":1}', "true", None, 1.0),
    }
    owners = {row["user"] for row in found.values()}
    assert len(owners) == 1
    assert owners.pop().startswith("~")


def test_values_are_labels_and_thumbs_are_about_what_was_shown(
    con: duckdb.DuckDBPyConnection,
) -> None:
    shown_value = Prediction("p", "ann", "stars", "m", START, "i9", {"answers": ["3.5"]}, 0.25)
    events = [
        rating(0, 1.0),
        rating(1, 3.5),
        rating(2, 11.0),
        Event("thumb", "web", "ann", "thumbs", START, prediction="p", value=-1.0),
        Event("right", "web", "ann", "correction", START, {"correction": 2}, "p"),
        Event("like", "web", "ann", "thumbs", START, item="i1", value=1.0),
        Event("long", "web", "ann", "dwell", START, item="i1", value=90.0),
        Event("label", "web", "ann", "label", START, item="i2", value=2.0),
    ]
    scales: dict[str, Scale] = {"rating": (1.0, 5.0), "label": (None, None)}
    found = rows(con, events, (shown_value,), task="stars", about="value", scales=scales)
    assert learned(found, "input", "target", "sign", "weight", "propensity") == {
        "web/r0": ("i0", "1.0", None, 1.0, None),
        "web/r1": ("i1", "3.5", None, 1.0, None),
        "web/thumb": ("i9", "3.5", -1, 1.0, 0.25),
        "web/right": ("i9", "3.5", -1, 1.0, 0.25),
        "web/right#correction": ("i9", "2", 1, 1.0, None),
        "web/label": ("i2", "2.0", None, 1.0, None),
    }
    assert len(found["web/r0"]["features"]) == len(FEATURES)
