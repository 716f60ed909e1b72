from __future__ import annotations

import multiprocessing
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from upwell.records import Event
from upwell.store.journal import Journal
from upwell.tables import to_table

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def write_for_ever(url: str, folder: Path) -> None:
    """Four threads, each noting an event's id once the journal has acknowledged it."""
    journal = Journal.open(url, folder)
    for worker in range(4):
        threading.Thread(target=_write, args=(journal, folder / f"told-{worker}")).start()


def _write(journal: Journal, told: Path) -> None:
    with told.open("w", encoding="utf-8") as notes:
        for number in range(100_000):
            name = f"{told.name}-{number}"
            journal.append_events(to_table(Event, [Event(name, "web", "u", "click", NOW)]), NOW)
            notes.write(name + "\n")
            notes.flush()


def acknowledged(folder: Path) -> list[str]:
    notes = (path.read_text(encoding="utf-8") for path in folder.glob("told-*"))
    return [line for text in notes for line in text.split("\n")[:-1]]


def test_what_was_acknowledged_survives_a_kill(database: str, tmp_path: Path) -> None:
    given = (database, tmp_path)
    writer = multiprocessing.get_context("spawn").Process(target=write_for_ever, args=given)
    writer.start()
    until = time.monotonic() + 60
    while len(acknowledged(tmp_path)) < 60 and time.monotonic() < until:
        time.sleep(0.01)
    writer.kill()
    writer.join()
    told = acknowledged(tmp_path)
    assert len(told) >= 60
    journal = Journal.open(database, tmp_path)
    stored = journal.events_after(0, 1_000_000)["id"].to_pylist()
    assert set(told) <= set(stored)
    assert len(stored) == len(set(stored))
    if journal.engine.dialect.name == "sqlite":
        with journal.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    journal.close()
