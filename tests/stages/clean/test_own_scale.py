"""Ratings are measured from the user's own mean where a rule says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection

from upwell.records import Event
from upwell.settings import FeedbackRule
from upwell.stages.clean.own_scale import on_own_scale, own_kinds
from upwell.stages.clean.signals import signals
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
AROUND = {"rating": FeedbackRule(around="user")}


def signs(
    con: DuckDBPyConnection, rules: dict[str, FeedbackRule], told: dict[str, list[float | None]],
    kind: str = "rating",
) -> dict[str, list[int | None]]:  # fmt: skip
    rows = [
        Event(f"{user}{n}", "web", user, kind, NOON + timedelta(minutes=n), item="i", value=value)
        for user, values in told.items()
        for n, value in enumerate(values)
    ]
    seqs = pa.array(range(len(rows)), pa.int64())
    events = con.from_arrow(to_table(Event, rows).append_column("seq", seqs))
    found, changed = on_own_scale(con, events, rules, False)
    table = found.order("seq").to_arrow_table()
    said = signals(table, changed)
    by_seq = dict(zip(said["seq"].to_pylist(), said["sign"].to_pylist(), strict=True))
    place = iter(range(len(rows)))
    return {user: [by_seq.get(next(place)) for _ in values] for user, values in told.items()}


def test_the_same_stars_say_another_thing_of_another_user(con: DuckDBPyConnection) -> None:
    strict: list[float | None] = [*[1.0] * 20, 3.0]
    mild: list[float | None] = [*[5.0] * 20, 3.0]
    found = signs(con, AROUND, {"strict": strict, "mild": mild})
    assert found["strict"][-1] == 1
    assert found["mild"][-1] == -1


def test_a_few_ratings_are_measured_from_the_middle_of_the_scale(con: DuckDBPyConnection) -> None:
    assert signs(con, AROUND, {"ann": [5.0], "bob": [1.0], "eve": [3.0]}) == {
        "ann": [1], "bob": [-1], "eve": [None],
    }  # fmt: skip


def test_who_always_says_the_same_ends_up_saying_nothing(con: DuckDBPyConnection) -> None:
    assert set(signs(con, AROUND, {"ann": [5.0] * 200})["ann"]) == {None}


def test_what_is_out_of_scale_says_nothing_and_moves_no_mean(con: DuckDBPyConnection) -> None:
    found = signs(con, AROUND, {"ann": [4.0, 900.0, None, 0.0, 4.0]})
    assert found["ann"] == [1, None, None, None, 1]


def test_distances_can_be_set(con: DuckDBPyConnection) -> None:
    rules = {"rating": FeedbackRule(around="user", good=1.5, bad=-1.5)}
    assert signs(con, rules, {"ann": [4.0, 5.0, 1.0]})["ann"] == [None, 1, -1]


def test_other_kinds_keep_their_values(con: DuckDBPyConnection) -> None:
    assert signs(con, AROUND, {"ann": [1.0, -1.0]}, kind="thumbs")["ann"] == [1, -1]


@pytest.mark.parametrize(
    ("rules", "is_talk", "own"),
    [
        ({}, False, []),
        ({}, True, ["rating"]),
        ({"rating": FeedbackRule(good=8.0, bad=4.0, high=10.0)}, True, []),
        ({"rating": FeedbackRule(around="scale")}, True, []),
        ({"stars": FeedbackRule(reads="rating")}, True, ["rating", "stars"]),
    ],
)
def test_only_ratings_of_what_was_said_are_so_by_themselves(
    rules: dict[str, FeedbackRule], is_talk: bool, own: list[str]
) -> None:
    assert sorted(own_kinds(rules, is_talk)) == own
