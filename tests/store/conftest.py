"""A fresh journal per test, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from upwell.records import Event
from upwell.store.journal import Journal
from upwell.tables import to_table

NOW = datetime(2024, 5, 1, tzinfo=UTC)
Make = Callable[..., pa.Table]


@pytest.fixture
def journal(database: str, tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(database, tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_events() -> Make:
    """``make(first, last, value=1.0)``: events with ids first … last − 1."""

    def make(first: int, last: int, value: float = 1.0) -> pa.Table:
        return to_table(Event, [event(f"e{n}", n, value) for n in range(first, last)])

    return make


def event(id: str, number: int, value: float = 1.0) -> Event:
    at = NOW.replace(second=number % 60)
    user, item = f"u{number % 7}", f"i{number}"
    return Event(id, "web", user, "click", at, {"n": number}, None, item, value)
