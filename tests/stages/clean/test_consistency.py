"""What users say of one thing: contradictions, changed minds, and the same again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upwell.stages.clean.consistency import DOUBTS, inconsistent

Said = tuple[str, int, str, float]
Hear = Callable[[Iterable[Said]], DuckDBPyRelation]
Found = dict[int, tuple[str, dict[str, object]]]


@pytest.fixture
def doubted(con: DuckDBPyConnection, hear: Hear) -> Callable[[Iterable[Said]], Found]:
    def find(said: Iterable[Said]) -> Found:
        rows = inconsistent(con, hear(said)).select(*DOUBTS).fetchall()
        assert all(row[4] == 0.0 for row in rows)
        return {row[0]: (row[3], json.loads(row[5])) for row in rows}

    return find


Doubted = Callable[[Iterable[Said]], Found]


def test_yes_and_no_within_a_second_are_both_dropped(doubted: Doubted) -> None:
    found = doubted([("ann", 1, "q", 0.0), ("ann", -1, "q", 0.4), ("bob", 1, "q", 0.0)])
    assert found == dict.fromkeys((0, 1), ("clean.contradiction", {"yes": 1, "no": 1}))


def test_whoever_changes_their_mind_is_heard_as_they_said_last(doubted: Doubted) -> None:
    found = doubted([("ann", 1, "q", 0.0), ("ann", -1, "q", 90.0)])
    assert found == {0: ("clean.changed_mind", {"at": "2024-01-01 12:01:37"})}


def test_what_is_said_again_counts_once(doubted: Doubted) -> None:
    found = doubted([("ann", 1, "q", 60.0 * n) for n in range(4)])
    assert found == dict.fromkeys((1, 2, 3), ("clean.duplicate", {"times": 4}))


def test_back_and_forth_ends_with_one_signal(doubted: Doubted) -> None:
    said = [("ann", sign, "q", 60.0 * n) for n, sign in enumerate((1, -1, 1, 1))]
    codes = {place: code for place, (code, _) in doubted(said).items()}
    assert codes == {1: "clean.changed_mind", 2: "clean.duplicate", 3: "clean.duplicate"}


def test_different_things_and_different_users_never_meet(doubted: Doubted) -> None:
    assert not doubted([("ann", 1, "q", 0), ("ann", -1, "r", 0), ("bob", -1, "q", 0)])
    assert not doubted([])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob"]),
            st.sampled_from([1, -1]),
            st.sampled_from(["q", "r"]),
            st.integers(0, 12).map(lambda half: half / 2),
        ),
        max_size=24,
    )
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_signal_at_most_is_left_of_each_thing(doubted: Doubted, said: list[Said]) -> None:
    found = doubted(said)
    left: dict[tuple[str, str], list[int]] = {}
    for place, (user, sign, asked, _) in enumerate(said):
        if place not in found:
            left.setdefault((user, asked), []).append(sign)
    assert all(len(signs) == 1 for signs in left.values())
    clashing = {code for code, _ in found.values()}
    things = {(user, asked) for user, _, asked, _ in said}
    assert set(left) == things or "clean.contradiction" in clashing
