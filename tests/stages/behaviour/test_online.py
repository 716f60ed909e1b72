from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upwell.errors import StageError
from upwell.records import Event
from upwell.stages.behaviour.features import FEATURES, features
from upwell.stages.behaviour.online import UserState, category
from upwell.tables import to_table

SECONDS = st.one_of(
    st.integers(0, 3), st.integers(0, 10**6), st.sampled_from([10**9, 4 * 10**9, 7 * 10**9])
)
ACTS = st.tuples(
    SECONDS,
    st.sampled_from(["click", "purchase", "rating", "dwell", "skip", "thumbs", "view"]),
    st.one_of(st.none(), st.floats(-1e12, 1e12)),
    st.sampled_from([None, "drama", "comedy", "unlisted"]),
)
GENRE = {"drama": "Drama", "comedy": "Comedy", "unlisted": "", None: ""}
START = datetime(1971, 1, 2, tzinfo=UTC)
SHOP = [
    Event(
        name, "shop", "", "item", datetime(1971, 1, 1, tzinfo=UTC), {"genres": [genre]}, item=name
    )
    for name, genre in GENRE.items()
    if name and genre
]


def batch(
    con: duckdb.DuckDBPyConnection, events: list[Event], half_life: float
) -> list[tuple[float, ...]]:
    world = to_table(Event, [*SHOP, *events])
    world = world.append_column("seq", [list(range(len(world)))])
    found = features(con, con.from_arrow(world), half_life).order("seq").to_arrow_table()
    return [tuple(row[name] for name in FEATURES) for row in found.to_pylist()]


@given(st.lists(ACTS, min_size=1, max_size=30), st.sampled_from([1e-6, 0.04, 7.0, 365.0, 1e7]))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_online_equals_batch(
    con: duckdb.DuckDBPyConnection,
    drawn: list[tuple[int, str, float | None, str | None]],
    half_life: float,
) -> None:
    events = [
        Event(str(n), "web", "ann", kind, START + timedelta(seconds=at), item=item, value=value)
        for n, (at, kind, value, item) in enumerate(sorted(drawn, key=lambda act: act[0]))
    ]
    state = UserState(half_life)
    for event, known in zip(events, batch(con, events, half_life), strict=True):
        seen = state.features(event.at) if state.latest else UserState(half_life).features(event.at)
        assert np.allclose(seen, known, rtol=1e-9, atol=1e-9), dict(
            zip(FEATURES, seen, strict=True)
        )
        state = state.after(event, GENRE[event.item])


def test_two_centuries_are_finite(con: duckdb.DuckDBPyConnection) -> None:
    years = [1971, 1990, 1990, 2024, 2025, 2199]
    events = [
        Event(str(n), "web", "ann", "click", datetime(year, 6, 1, n, tzinfo=UTC))
        for n, year in enumerate(years)
    ]
    place = FEATURES.index("activity")
    for half_life in (1e-9, 0.01, 7.0, 1e5):
        state = UserState(half_life)
        for event, known in zip(events, batch(con, events, half_life), strict=True):
            assert np.isfinite(known).all()
            assert known[place] == pytest.approx(state.features(event.at)[place], abs=1e-9)
            state = state.after(event)


def test_a_state_is_a_value() -> None:
    empty = UserState(7.0)
    full = empty.after(Event("1", "web", "ann", "click", START))
    assert empty == UserState(7.0)
    assert len({empty, full}) == 2
    assert full.after(Event("2", "shop", "", "item", START, item="x")) == full


def test_what_comes_late_is_refused() -> None:
    state = UserState(7.0).after(Event("1", "web", "ann", "click", START))
    with pytest.raises(StageError, match="late_event"):
        state.after(Event("2", "web", "ann", "click", START - timedelta(microseconds=1)))
    with pytest.raises(StageError, match="late_event"):
        state.features(START - timedelta(microseconds=1))


def test_categories() -> None:
    assert category({}) == ""
    assert category({"genres": []}) == ""
    assert category({"category": "Books", "genres": ["Drama"]}) == "Books"
