"""A fresh journal per test, on SQLite and, where UPWELL_TEST_POSTGRES names one, on PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from upwell.records import Event
from upwell.store import schema as sql
from upwell.store.journal import Journal
from upwell.tables import to_table

NOW = datetime(2024, 5, 1, tzinfo=UTC)
URLS = ["sqlite:///data/journal.db", *filter(None, [os.environ.get("UPWELL_TEST_POSTGRES")])]
Make = Callable[..., pa.Table]


@pytest.fixture(params=URLS, ids=[url.split(":")[0] for url in URLS])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(request.param, tmp_path)
    yield opened
    sql.metadata.drop_all(opened.engine)
    opened.close()


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_events() -> Make:
    """``make(first, last, value=1.0)``: events with ids first … last − 1."""

    def make(first: int, last: int, value: float = 1.0) -> pa.Table:
        return to_table(Event, [_event(number, value) for number in range(first, last)])

    return make


def _event(number: int, value: float) -> Event:
    at = NOW.replace(second=number % 60)
    user, item = f"u{number % 7}", f"i{number}"
    return Event(f"e{number}", "web", user, "click", at, {"n": number}, None, item, value)
