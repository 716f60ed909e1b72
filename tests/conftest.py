"""What all tests share: one thread, one language, no deadlines, DuckDB, and a small shop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import hypothesis
import pyarrow as pa
import pytest
from tests.postgres import NO_SERVER, Server, programs, serving

from upwell.plugins import plugin
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this session."""
    found = programs()
    if found is None:
        pytest.skip(NO_SERVER)
    with serving(found) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty journal, where projects that the test opens have theirs."""
    if request.param == "sqlite":
        return "sqlite:///data/journal.db"
    server: Server = request.getfixturevalue("postgres")
    url = server.emptied()
    monkeypatch.setenv("UPWELL_DATA__JOURNAL", url)
    return url


DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
"""Of the shop. All that its models may learn from happens in 100 days, the frozen part later."""
QUIET: Mapping[int, tuple[str, ...]] = {0: (), 1: ("serve",), 2: ("train",), 3: ("analyse",)}
"""What the first users in order of their names allow; all others allow everything."""


@pytest.fixture(scope="session")
def shop() -> Callable[..., Upwell]:
    """``shop(folder, task="recommend", **tables)``: a new project; two toys of the task happened.

    ``tables`` are tables of ``upwell.toml`` over small settings. Every shop has the same key.
    """

    def open_one(folder: Path, task: str = "recommend", **tables: Mapping[str, object]) -> Upwell:
        small: dict[str, Mapping[str, object]] = {
            "data": {"label_sources": ["labels"]},
            "split": {"frozen_from": DAY_ONE + timedelta(days=100)},
            "tune": {"base": "", "epochs": 2},
            "gate": {"resamples": 200},
        }
        chosen = {name: {**small.get(name, {}), **tables.get(name, {})} for name in small | tables}
        chosen["project"] = {"task": task}
        create_project(folder, "shop", chosen, bytes(range(32)))
        upwell = Upwell(open_project(folder))
        happened = _happened(task)
        upwell.capture(happened, source="shop", now=DAY_ONE + timedelta(days=121))
        users = sorted({str(row["user"]) for row in happened if row["user"]})
        for number, user in enumerate(users):
            upwell.consent([user], QUIET.get(number, PURPOSES), since=DAY_ONE)
        return upwell

    return open_one


def _happened(task: str) -> list[dict[str, object]]:
    """The rows of two toys of a task as events in order, evenly spread over time."""
    toys = [plugin("tasks", task).toy(seed) for seed in (0, 1)]
    about = plugin("tasks", task).ABOUT
    facts = [
        {"id": f"fact-{item}", "kind": "item", "user": "", "item": item, "at": DAY_ONE,
         "payload": {"title": text}}
        for item, text in zip(*_columns(toys[0].items, "item", "text"), strict=True)
    ]  # fmt: skip
    learned = [
        _told(row, n, about)
        for n, toy in enumerate(toys)
        for part in (toy.train, toy.validation)
        for row in part.to_pylist()
    ]
    judged = [_told(row, n, about) for n, toy in enumerate(toys) for row in toy.test.to_pylist()]
    return [*facts, *_spread(learned, 0, 100), *_spread(judged, 100, 20)]


def _told(row: Mapping[str, object], toy: int, about: str) -> dict[str, object]:
    """An example as the event that it could have come from."""
    sign = row["sign"]
    answer = {"payload": {"input": row["input"], "target": row["target"]}}
    if about == "value" and sign is None:
        given = {"kind": "rating", "item": row["input"], "value": float(str(row["target"]))}
        return {"id": f"{toy}-{row['id']}", "user": f"{row['user']}.{toy}@shop.example",
                "at": row["at"], **given}  # fmt: skip
    return {
        "id": f"{toy}-{row['id']}",
        "user": f"{row['user']}.{toy}@shop.example",
        "at": row["at"],
        **({"source": "labels", "kind": "choice"} if sign is None else {"kind": "thumbs"}),
        "value": sign,
        **({"item": row["target"]} if about == "item" else answer),
    }


def _spread(rows: list[dict[str, object]], first: int, days: int) -> list[dict[str, object]]:
    """Rows in order of time, evenly spread over ``days`` from day ``first`` on."""
    ordered = sorted(rows, key=lambda row: str(row["at"]))
    step = timedelta(days=days) / max(len(ordered), 1)
    begin = DAY_ONE + timedelta(days=first, seconds=1)
    return [{**row, "at": begin + place * step} for place, row in enumerate(ordered)]


def _columns(table: pa.Table, *names: str) -> list[list[str]]:
    return [table[name].to_pylist() for name in names]
