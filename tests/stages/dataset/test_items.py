from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from upwell.records import Event, Json
from upwell.stages.dataset.items import items
from upwell.tables import to_table

START = datetime(2024, 1, 1, tzinfo=UTC)


def texts(con: duckdb.DuckDBPyConnection, events: list[Event]) -> list[tuple[str, str]]:
    table = to_table(Event, events).append_column("seq", [list(range(len(events)))])
    found: list[tuple[str, str]] = items(con, con.from_arrow(table)).fetchall()
    return found


def fact(n: int, item: str, payload: dict[str, Json], days: int = 0) -> Event:
    return Event(f"f{n}", "shop", "", "item", START + timedelta(days=days), payload, item=item)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"title": "Heat", "genres": ["Action", "Crime"]}, "Heat | Action, Crime"),
        ({"title": "Heat", "genres": "Action|Crime"}, "Heat | Action, Crime"),
        ({"title": "Heat"}, "Heat"),
        ({"genres": ["Action"], "title": ""}, "Action"),
        ({"title": "Heat", "year": 1995, "plot": "A heist", "cast": ["x"]}, "Heat | A heist"),
        ({"name": "Pan", "colour": "红"}, "红 | Pan"),
        ({"title": None, "genres": []}, "m"),
        ({'we"i/r~d': "yes", "": "no"}, "no | yes"),
        ({}, "m"),
    ],
)
def test_the_text_of_an_item(
    con: duckdb.DuckDBPyConnection, payload: dict[str, Json], text: str
) -> None:
    assert texts(con, [fact(0, "m", payload)]) == [("m", text)]


def test_the_latest_fact_holds(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        fact(0, "m", {"title": "new"}, days=2),
        fact(1, "m", {"title": "old"}, days=1),
        fact(2, "m", {"title": "newest"}, days=2),
    ]
    assert texts(con, events) == [("m", "newest")]


def test_a_deleted_item_is_none_until_it_is_stated_again(con: duckdb.DuckDBPyConnection) -> None:
    click = Event("c", "web", "ann", "click", START, item="a")
    gone: dict[str, Json] = {"deleted": True, "hidden": True}
    events = [click, fact(0, "a", {"title": "A"}), fact(1, "b", {"hidden": True, "title": "B"}),
              fact(2, "c", {"deleted": "true"}), fact(3, "a", gone, days=1)]  # fmt: skip
    assert texts(con, events) == [("b", "B"), ("c", "true")]
    assert texts(con, [*events, fact(4, "a", {"title": "A"}, days=2)])[0] == ("a", "A")


def test_an_item_that_nobody_described(con: duckdb.DuckDBPyConnection) -> None:
    seen = [Event(str(n), "web", "ann", "click", START, item=item) for n, item in enumerate("ba")]
    assert texts(con, [*seen, fact(9, "c", {"title": "C"})]) == [("a", "a"), ("b", "b"), ("c", "C")]
    assert texts(con, [Event("1", "web", "ann", "visit", START)]) == []
