"""What a request waits for is found by index, in journals that are older than the index too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Select

from upwell.records import Event
from upwell.store import lookups
from upwell.store import schema as sql
from upwell.store.exclusions import Exclusions
from upwell.store.journal import Journal
from upwell.tables import to_table

START = datetime(2026, 1, 1, tzinfo=UTC)
INDEXES = ("events_of_a_user", "consents_of_a_user", "facts_in_order", "facts_of_an_item")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal.open("sqlite:///journal.db", tmp_path)


def fact(number: int, item: str = "i1") -> Event:
    at = START + timedelta(seconds=number)
    return Event(f"f{number}", "shop", "", "item", at, {"title": str(number)}, item=item)


def append(journal: Journal, *events: Event) -> None:
    journal.append_events(to_table(Event, events), START)


def plan(journal: Journal, query: Select[tuple[object, ...]], **values: object) -> str:
    """How SQLite would find what a query asks for."""
    asked = query.params(**values).compile(journal.engine, compile_kwargs={"literal_binds": True})
    with journal.engine.connect() as connection:
        told = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked}")
        return " ".join(str(row[3]) for row in told)


def some_events() -> Select[tuple[object, ...]]:
    """What is asked of two users who are known up to different events."""
    of, seq = sql.events.c.user, sql.events.c.seq
    return lookups._EVENTS_OF.where(((of == "ann") & (seq > 0)) | ((of == "bob") & (seq > 7)))


def test_every_look_up_goes_by_its_index(journal: Journal) -> None:
    assert "events_of_a_user" in plan(journal, some_events())
    assert "consents_of_a_user" in plan(journal, lookups._ALLOWED, users=["ann"])
    assert "facts_of_an_item" in plan(journal, lookups._FACTS, items=["i1"])
    assert "facts_in_order" in plan(journal, lookups._NEW_FACTS, after=5)
    assert "facts_in_order" in plan(journal, lookups._MARKS)


def test_an_older_journal_gets_the_indexes_when_it_is_opened(
    journal: Journal, tmp_path: Path
) -> None:
    append(journal, fact(1))
    with journal.engine.connect() as connection:
        for name in INDEXES:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    journal.close()
    again = Journal.open("sqlite:///journal.db", tmp_path)
    assert "events_of_a_user" in plan(again, some_events())
    assert "facts_in_order" in plan(again, lookups._MARKS)
    assert len(lookups.facts_of(again, ["i1"])) == 1


def test_marks_move_with_what_they_stand_for(journal: Journal) -> None:
    marks = [lookups.marks(journal)]
    append(journal, Event("1", "web", "ann", "click", START, item="i1"))
    marks.append(lookups.marks(journal))
    append(journal, fact(1))
    marks.append(lookups.marks(journal))
    Exclusions(journal).add("source", "bots", START, "")
    marks.append(lookups.marks(journal))
    assert marks[0] == marks[1]
    assert marks[1].facts < marks[2].facts
    assert marks[2].left_out != marks[3].left_out


def test_newer_facts_are_told_unless_they_are_many(journal: Journal) -> None:
    append(journal, fact(7), fact(5, "i2"), fact(9, "i2"))
    newer = lookups.facts_after(journal, 1)
    assert newer is not None
    assert (set(newer.items), newer.earliest) == ({"i2"}, START + timedelta(seconds=5))
    assert lookups.facts_after(journal, 3) is None
    append(journal, *(fact(number) for number in range(100, 101 + lookups.MANY)))
    assert lookups.facts_after(journal, 3) is None


def test_each_item_has_its_facts_in_the_order_of_arrival(journal: Journal) -> None:
    append(journal, fact(3), fact(1), fact(2, "i2"))
    found = lookups.facts_of(journal, ["i2", "i1", "unheard of"])
    told = [row["id"] for row in found.to_pylist() if row["item"] == "i1"]
    assert told == ["f3", "f1"]
    assert len(found) == 3
