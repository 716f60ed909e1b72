"""What all tests share: one thread, one language, no deadlines, and DuckDB."""

from __future__ import annotations

import os
from collections.abc import Iterator

import duckdb
import hypothesis
import pytest

# Tests run in several processes; a pool of threads in each would make them wait for each other.
# Libraries read this when they are loaded, so it stands before any test is collected.
os.environ["OMP_NUM_THREADS"] = "1"

# The first call of a torch function on a busy machine may take a second.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences in English, whatever the machine speaks and the test before asked for."""
    monkeypatch.setenv("UPWELL_LANG", "en")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection
