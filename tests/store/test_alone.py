"""One turn at a time: the second is refused, the dead hold nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from upwell.errors import StoreError
from upwell.store.alone import FILE, alone
from upwell.store.journal import Journal
from upwell.words import LANGUAGES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROCESSES = multiprocessing.get_context("spawn")


def refused(folder: Path, journal: Journal) -> StoreError:
    with (
        pytest.raises(StoreError) as found,
        alone(folder, journal.engine, "recommend", NOW),
    ):
        pass
    assert all(found.value.explain(lang) for lang in LANGUAGES)
    return found.value


def hold(url: str, home: str, folder: str, told: Connection) -> None:
    journal = Journal.open(url, Path(home))
    with alone(Path(folder), journal.engine, "recommend", NOW):
        told.send(os.getpid())
        signal.pause()


def test_a_second_one_in_the_same_process_is_refused_and_told_who_holds_it(
    journal: Journal, tmp_path: Path
) -> None:
    with alone(tmp_path, journal.engine, "recommend", NOW):
        error = refused(tmp_path, journal)
    assert error.code == "turn.running"
    assert error.details["pid"] == os.getpid()
    assert error.details["host"] == socket.gethostname()
    assert error.details["since"] == NOW.isoformat()
    with alone(tmp_path, journal.engine, "recommend", NOW):
        pass


def test_two_threads_exclude_each_other(journal: Journal, tmp_path: Path) -> None:
    found: list[str] = []
    with alone(tmp_path, journal.engine, "recommend", NOW):
        one = threading.Thread(target=lambda: found.append(refused(tmp_path, journal).code))
        one.start()
        one.join()
    assert found == ["turn.running"]


def test_a_process_that_is_killed_holds_nothing(journal: Journal, tmp_path: Path) -> None:
    here, there = PROCESSES.Pipe()
    url = journal.engine.url.render_as_string(hide_password=False)
    arguments = (url, str(tmp_path), str(tmp_path), there)
    process = PROCESSES.Process(target=hold, args=arguments)
    process.start()
    pid = here.recv()
    error = refused(tmp_path, journal)
    assert (error.code, error.details["pid"]) == ("turn.running", pid)
    process.kill()
    process.join()
    with alone(tmp_path, journal.engine, "recommend", NOW):
        pass


def test_a_failure_inside_lets_go(journal: Journal, tmp_path: Path) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        alone(tmp_path, journal.engine, "recommend", NOW),
    ):
        raise ZeroDivisionError
    with alone(tmp_path, journal.engine, "recommend", NOW):
        pass


def test_a_lock_file_with_nonsense_is_told_as_unknown(journal: Journal, tmp_path: Path) -> None:
    with alone(tmp_path, journal.engine, "recommend", NOW):
        (tmp_path / FILE).write_text("nonsense", encoding="utf-8")
        assert refused(tmp_path, journal).details["pid"] == "?"


def test_machines_that_share_a_database_exclude_each_other(
    journal: Journal, tmp_path: Path
) -> None:
    """Two folders stand for two machines; SQLite is in one of them, so there nothing is shared."""
    with alone(tmp_path / "one", journal.engine, "recommend", NOW):
        if journal.engine.dialect.name == "postgresql":
            assert refused(tmp_path / "other", journal).code == "turn.running_elsewhere"
        with alone(tmp_path / "another", journal.engine, "rating", NOW):
            pass
    with alone(tmp_path / "other", journal.engine, "recommend", NOW):
        pass
