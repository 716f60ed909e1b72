from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from upwell.records import Example
from upwell.stages.evaluate.leaks import leaked, near_copies
from upwell.tables import schema

DAY = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = ("user", "input", "target", "at")


def rows(*told: tuple[str, str, str, int]) -> pa.Table:
    """User, input, target and hour of each row."""
    kinds = pa.schema([schema(Example).field(name) for name in COLUMNS])
    made = [(*one[:3], DAY + timedelta(hours=one[3])) for one in told]
    columns: Sequence[Sequence[object]] = list(zip(*made, strict=True)) or [()] * len(COLUMNS)
    found = {name: list(what) for name, what in zip(COLUMNS, columns, strict=True)}
    return pa.table(found, schema=kinds)


JUDGED = rows(("a", "how?", "x", 1), ("b", "why?", "y", 2), ("", "who?", "z", 3), ("", "", "z", 4))


@pytest.mark.parametrize(
    ("disjoint", "about", "learned", "share", "count"),
    [
        # An input on both sides, whoever asked it and whatever the split is by.
        ("time", "answer", rows(("z", "why?", "q", 9)), 0.25, 1),
        ("inputs", "value", rows(("z", "why?", "q", 9)), 0.25, 1),
        # A user on both sides; rows of nobody share no user.
        ("users", "item", rows(("b", "", "q", 9), ("", "", "z", 4)), 0.5, 1),
        # By time the same act, and not merely the same user and target.
        ("time", "item", rows(("b", "why?", "y", 2)), 0.25, 1),
        ("time", "item", rows(("b", "why?", "y", 3)), 0.0, 0),
        ("time", "answer", rows(), 0.0, 0),
    ],
)
def test_a_planted_leak_is_found_and_nothing_else(
    disjoint: str, about: str, learned: pa.Table, share: float, count: int
) -> None:
    found = leaked(JUDGED, learned, disjoint, about)
    assert found.value == pytest.approx(share)
    assert found.told["rows"] == count
    assert found.sure


def test_no_judged_row_leaks_nothing() -> None:
    found = leaked(rows(), JUDGED, "time", "answer")
    assert (found.value, found.told["judged"]) == (0.0, 0)


def test_copies_but_for_case_width_and_spaces_are_found_and_equal_ones_are_not() -> None:
    judged = rows(
        ("a", "Where is my ORDER", "x", 1),
        ("b", "ｗｈｅｒｅ　ｉｓ my order", "x", 1),
        ("c", "where is my order", "x", 1),
        ("d", "where was my order", "x", 1),
    )
    found = near_copies(judged, rows(("z", " where  is my order\n", "x", 0)))
    assert (found.value, found.told["rows"]) == (0.75, 3)
    equal = near_copies(judged, judged)
    assert (equal.value, equal.told["rows"]) == (0.0, 0)
    assert near_copies(rows(), judged).value == 0.0
