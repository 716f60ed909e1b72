"""PostgreSQL: what a server must promise, and what its failures are called."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, make_url, select
from tests.postgres import Server
from tests.store.conftest import Make

from upwell.errors import StoreError
from upwell.store import postgres as module
from upwell.store.alone import alone
from upwell.store.database import connect, in_turn, reading, writing
from upwell.store.journal import Journal
from upwell.words import LANGUAGES

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def refused(url: str) -> StoreError:
    with pytest.raises(StoreError) as found:
        Journal.open(url, Path())
    assert all(found.value.explain(lang) for lang in LANGUAGES)
    return found.value


@contextmanager
def set_to(server: Server, setting: str, value: str) -> Iterator[None]:
    """A setting of the server for the time being."""
    before = server.ask(f"SHOW {setting}")[0][0]
    try:
        _set(server, setting, value)
        yield
    finally:
        _set(server, setting, before)


def _set(server: Server, setting: str, value: str) -> None:
    server.ask(f"ALTER SYSTEM SET {setting} = {value}")
    server.ask("SELECT pg_reload_conf()")
    while server.ask(f"SHOW {setting}") != [(value,)]:
        time.sleep(0.01)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_an_address_is_reached_with_our_driver_and_its_own_wishes_win(scheme: str) -> None:
    engine = connect(f"{scheme}://ann:secret@db.example:6432/shop?connect_timeout=9", Path())
    found = engine.url
    assert (found.drivername, found.host, found.port) == (module.DRIVER, "db.example", 6432)
    assert found.query["connect_timeout"] == "9"
    assert found.query["target_session_attrs"] == "read-write"
    assert "secret" not in str(found)


def test_an_address_that_cannot_be_used_keeps_its_password(tmp_path: Path) -> None:
    for url in ("postgresql+other://ann:secret@db/shop", "postgresql://ann:secret@db:port/shop"):
        error = refused(url)
        assert error.code == "store.bad_url"
        assert "secret" not in str(error)


@pytest.mark.parametrize("absent", ["psycopg", "psycopg.pq"])
def test_an_absent_driver_is_told(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "psycopg"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    error = refused("postgresql://ann:secret@db/shop")
    assert error.code == "store.no_driver"
    assert "upwell[postgres]" in error.explain("en")[2]


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    error = refused("postgresql://ann:secret@127.0.0.1:9/shop")
    assert error.code == "store.unusable"
    assert "127.0.0.1" in str(error)
    assert "secret" not in str(error)


def test_who_may_not_make_tables_is_told(postgres: Server) -> None:
    url = make_url(postgres.fresh())
    postgres.ask("CREATE ROLE stranger LOGIN")
    error = refused(url.set(username="stranger").render_as_string())
    assert error.code == "store.unusable"
    assert "permission denied" in str(error)


def test_a_server_that_does_not_force_commits_to_disk_is_refused(postgres: Server) -> None:
    with set_to(postgres, "fsync", "off"):
        error = refused(postgres.emptied())
    assert error.code == "store.not_durable"
    assert (error.details["setting"], error.details["value"]) == ("fsync", "off")
    Journal.open(postgres.emptied(), Path()).close()


def test_a_server_that_cannot_commit_synchronously_is_refused() -> None:
    """No real one refuses to; a pooler or another make of database could."""

    class Stubborn:
        """A connection whose settings stay as they are."""

        def __enter__(self) -> Stubborn:
            return self

        def __exit__(self, *_: object) -> None: ...

        def cursor(self) -> Stubborn:
            return self

        def execute(self, _: str) -> Stubborn:
            return self

        def fetchone(self) -> tuple[str, str, str]:
            return ("on", "off", "UTF8")

        def rollback(self) -> None: ...

        def close(self) -> None:
            self.is_closed = True

    connection = Stubborn()
    with pytest.raises(StoreError) as found:
        module.prepare(connection, None)
    assert (found.value.code, found.value.details["setting"]) == (
        "store.not_durable", "synchronous_commit",
    )  # fmt: skip
    assert connection.is_closed


@pytest.mark.parametrize(
    ("chosen", "used"), [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply",) * 2]
)
def test_each_commit_is_synchronous_whatever_the_defaults_are(
    postgres: Server, tmp_path: Path, chosen: str, used: str
) -> None:
    url = postgres.emptied()
    with (
        set_to(postgres, "synchronous_commit", chosen),
        closing(Journal.open(url, tmp_path)) as one,
    ):
        with writing(one.engine) as connection:
            setting = connection.execute(select(func.current_setting("synchronous_commit")))
            assert setting.scalar_one() == used
        with reading(one.engine) as connection:
            setting = connection.execute(select(func.current_setting("synchronous_commit")))
            assert setting.scalar_one() == chosen


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server, encoding: str) -> None:
    name = encoding.lower()
    postgres.ask(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    error = refused(postgres.url(name))
    assert (error.code, error.details["encoding"]) == ("store.not_utf8", encoding)


def test_text_has_the_same_order_as_in_sqlite(postgres: Server) -> None:
    url = postgres.emptied()
    found = postgres.ask(
        "SELECT table_name, column_name, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'text'",
        make_url(url).database or "",
    )
    assert len(found) > 50
    assert {collation for _, _, collation in found} == {"C"}


def test_those_who_begin_at_the_same_moment_make_the_tables_once(
    postgres: Server, tmp_path: Path
) -> None:
    url = postgres.fresh()

    def begin(_: int) -> dict[str, int]:
        with closing(Journal.open(url, tmp_path)) as journal:
            return journal.counts()

    with ThreadPoolExecutor(6) as pool:
        assert all(not any(counts.values()) for counts in pool.map(begin, range(6)))


def test_who_waits_too_long_for_the_writer_is_told(
    postgres: Server, tmp_path: Path, make_events: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", "50ms")
    with closing(Journal.open(postgres.emptied(), tmp_path)) as journal:
        with writing(journal.engine), pytest.raises(StoreError) as found:
            journal.append_events(make_events(0, 1), NOW)
        assert found.value.code == "store.busy"
        assert journal.append_events(make_events(0, 1), NOW).accepted == 1


def test_a_writer_that_fell_silent_holds_up_nobody(
    postgres: Server, tmp_path: Path, make_events: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE", "100ms")
    holds = threading.Event()
    with (
        closing(Journal.open(postgres.emptied(), tmp_path)) as journal,
        ThreadPoolExecutor() as pool,
    ):

        def fall_silent() -> None:
            with writing(journal.engine):
                holds.set()
                time.sleep(0.5)

        silent = pool.submit(fall_silent)
        holds.wait(20)
        assert journal.append_events(make_events(0, 1), NOW).accepted == 1
        with pytest.raises(StoreError) as found:
            silent.result()
    assert found.value.code == "store.unusable"


def test_a_connection_in_use_is_closed_when_it_is_given_back(
    postgres: Server, tmp_path: Path
) -> None:
    journal = Journal.open(postgres.emptied(), tmp_path)
    held = journal.engine.raw_connection()
    raw: Any = held.dbapi_connection
    journal.close()
    assert not raw.closed
    held.close()
    assert raw.closed


def test_what_fails_on_the_server_has_its_name(journal: Journal, postgres: Server) -> None:
    if journal.engine.dialect.name != "postgresql":
        return
    causes = {"53100": "store.disk_full", "25006": "store.unusable", "57P01": "store.unusable"}
    for sqlstate, code in causes.items():
        with pytest.raises(StoreError) as found, writing(journal.engine) as connection:
            connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$"
            )
        assert found.value.code == code


def test_blocks_in_turn_never_overlap(journal: Journal) -> None:
    inside: list[int] = []
    most = []

    def block(number: int) -> None:
        with in_turn(journal.engine):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.005)
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(block, range(12)))
    assert most == [1] * 12


def test_a_turn_outlives_the_connection_that_held_its_lock(
    postgres: Server, tmp_path: Path
) -> None:
    with closing(Journal.open(postgres.emptied(), tmp_path)) as journal:
        for _ in range(2):
            with alone(tmp_path, journal.engine, "recommend", NOW):
                postgres.kill()
                postgres.start()


def test_a_text_no_database_holds_is_found_nowhere(journal: Journal) -> None:
    for text in ("a\x00b", "\ud83d"):
        assert journal.prediction(text) is None
