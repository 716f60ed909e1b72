"""What is new between two moments, counted: known events, known answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from upwell.records import Event
from upwell.store.arrivals import NOTHING, Arrived, Sight, arrived
from upwell.store.journal import Journal
from upwell.tables import to_table

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def filled(journal: Journal) -> Journal:
    """An event an hour: two facts, then feedback, a label, and a choice from a source of labels."""
    told = [
        ("item", "", "app"), ("user", "ann", "app"), ("thumbs", "ann", "app"),
        ("thumbs", "bob", "app"), ("click", "ann", "app"), ("label", "", "app"),
        ("choice", "eve", "labels"),
    ]  # fmt: skip
    rows = [
        Event(f"e{n}", source, user, kind, NOON + timedelta(hours=n), {}, None, "i", 1.0)
        for n, (kind, user, source) in enumerate(told)
    ]
    journal.append_events(to_table(Event, rows), NOON)
    return journal


def test_feedback_labels_and_users_are_counted_and_facts_are_not(filled: Journal) -> None:
    found = arrived(filled, NOTHING, Sight(), ["labels"])
    assert found == Arrived({"click": 1, "thumbs": 2}, users=2, labels=2)
    assert found.total == 5


def test_a_source_that_is_none_of_labels_gives_feedback(filled: Journal) -> None:
    found = arrived(filled, NOTHING, Sight(), [])
    assert found == Arrived({"choice": 1, "click": 1, "thumbs": 2}, users=3, labels=1)


@pytest.mark.parametrize(
    ("before", "now", "total"),
    [
        (Sight(seq=3), Sight(), 4),
        (Sight(seq=3), Sight(seq=4), 1),
        (Sight(seq=7), Sight(), 0),
        (Sight(seq=7, as_of=NOON + timedelta(hours=4)), Sight(seq=7), 3),
        (Sight(seq=7, as_of=NOON), Sight(seq=7, as_of=NOON + timedelta(hours=3)), 1),
    ],
)
def test_what_was_in_sight_is_not_new(
    filled: Journal, before: Sight, now: Sight, total: int
) -> None:
    assert arrived(filled, before, now, ["labels"]).total == total


def test_what_happened_before_a_moment_and_came_later_is_new(filled: Journal) -> None:
    """A turn that knew the world up to noon has not seen a late event of the morning."""
    late = Event("late", "app", "bob", "click", NOON - timedelta(hours=1), {}, None, "i", 1.0)
    filled.append_events(to_table(Event, [late]), NOON + timedelta(days=1))
    seen = Sight(seq=7, as_of=NOON + timedelta(days=1))
    assert arrived(filled, seen, Sight(), ["labels"]) == Arrived({"click": 1}, users=1, labels=0)
