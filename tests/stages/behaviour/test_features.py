from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log

import duckdb
import pytest

from upwell.records import Event
from upwell.stages.behaviour.features import FEATURES, features
from upwell.tables import schema, to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
Known = list[dict[str, float]]


def act(n: int, kind: str, hours: float, value: float | None = None, item: str = "i") -> Event:
    at = NOON + timedelta(hours=hours)
    return Event(f"a{n}", "web", "ann", kind, at, item=item, value=value)


def fact(n: int, hours: float, **payload: str | list[str]) -> Event:
    return Event(f"f{n}", "shop", "", "item", NOON + timedelta(hours=hours), payload, item="i")


def known(con: duckdb.DuckDBPyConnection, events: list[Event], half_life: float = 1.0) -> Known:
    table = to_table(Event, events).append_column("seq", [list(range(len(events)))])
    found = features(con, con.from_arrow(table), half_life).order("seq")
    assert found.columns == ["seq", *FEATURES]
    rows: Known = found.to_arrow_table().drop_columns(["seq"]).to_pylist()
    return rows


def test_a_life_by_hand(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        act(0, "click", 0),
        act(1, "rating", 1, 5.0),
        act(2, "rating", 2, 2.0),
        act(3, "dwell", 3, 10.0),
        act(4, "purchase", 4, 19.99),
        act(5, "skip", 5),
        act(6, "view", 6),
        act(7, "click", 24),
    ]
    last = known(con, events)[-1]
    decayed = sum(0.5 ** ((24 - hour) / 24) for hour in range(7))
    wanted = {
        "events": log(8),
        "clicks": log(2),
        "purchases": log(2),
        "ratings": log(3),
        "dwells": log(2),
        "skips": log(2),
        "active_days": log(2),
        "idle_days": log(1 + 18 / 24),
        "click_rate": 1 / 7,
        "mean_rating": 3.5,
        "mean_dwell": log(11),
        "spent": log(20.99),
        "activity": log(1 + decayed),
    }
    assert {name: last[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert known(con, events)[0] == dict.fromkeys(FEATURES, 0.0)


def test_one_moment_knows_nothing_of_itself(con: duckdb.DuckDBPyConnection) -> None:
    rows = known(con, [act(0, "click", 0), act(1, "click", 1), act(2, "skip", 1), act(3, "x", 2)])
    assert rows[1] == rows[2]
    assert rows[2]["skips"] == 0.0
    assert rows[3]["events"] == pytest.approx(log(4))


def test_days_begin_at_midnight_utc(con: duckdb.DuckDBPyConnection) -> None:
    rows = known(con, [act(n, "x", hours) for n, hours in enumerate((0, 11.9, 12.1, 35, 37))])
    days = [round(2.718281828459045 ** row["active_days"]) - 1 for row in rows]
    assert days == [0, 1, 1, 2, 2]


def test_the_category_is_the_one_known_when_the_user_acted(con: duckdb.DuckDBPyConnection) -> None:
    events = [
        act(0, "click", 0),
        fact(0, 1, genres=["Drama", "War"]),
        act(1, "click", 2),
        fact(1, 3, title="no genre here"),
        act(2, "click", 4),
        fact(2, 5, category="War", genres=["Drama"]),
        act(3, "click", 6),
        act(4, "click", 7),
    ]
    rows = known(con, events)
    names = [name for name in FEATURES if name.startswith("category_")]
    drama, war = ({name for name in names if rows[n][name]} for n in (2, 4))
    assert [sum(row[name] > 0 for name in names) for row in rows] == [0, 0, 1, 1, 2]
    assert drama < war


def test_a_wild_value_spoils_nothing(con: duckdb.DuckDBPyConnection) -> None:
    wild = [1e300, -1e300, None]
    kinds = ("rating", "dwell", "purchase")
    events = [
        act(3 * n + k, kind, 3 * n + k, value)
        for n, value in enumerate(wild)
        for k, kind in enumerate(kinds)
    ]
    last = known(con, [*events, act(99, "x", 99)])[-1]
    assert last["mean_rating"] == 50.0
    assert last["mean_dwell"] == pytest.approx(log(7_201))
    assert last["spent"] == pytest.approx(log(2e7 + 1))


def test_users_are_told_apart_and_facts_have_no_row(con: duckdb.DuckDBPyConnection) -> None:
    profile = Event("p", "crm", "ann", "user", NOON, {"gender": "F"})
    bob = Event("b", "web", "bob", "click", NOON + timedelta(hours=9), item="i")
    rows = known(con, [profile, act(0, "click", 1), bob, act(1, "click", 9)])
    assert [round(row["events"], 3) for row in rows] == [0.0, 0.0, 0.693]


def test_no_events_no_rows(con: duckdb.DuckDBPyConnection) -> None:
    assert known(con, []) == []
    assert len(schema(Event)) == 9
