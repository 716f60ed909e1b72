"""What plain SQLite takes in: the journal's own table, its settings, one thread, nothing else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

from bench.capturing.bodies import ITEMS, USERS
from upwell.store.database import insert_new
from upwell.store.journal import Journal
from upwell.store.schema import events

COLUMNS = ("id", "source", "user", "kind", "at", "payload", "item", "body", "received")
SETTINGS = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "cache_size")
MICROS = 1_777_629_600_000_000


def events_per_second(folder: Path, batch: int, seconds: float, *, indexed: bool = True) -> float:
    """Events that plain SQLite stores in batches of ``batch``, each forced to disk.

    The rows are as long as those that the load sends. Without ``indexed`` the table has the key
    that tells duplicates and no other index.
    """
    path = folder / "bare.db"
    for name in folder.glob("bare.db*"):
        name.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        *made, insert = _as_the_journal(folder, indexed)
        for statement in made:
            connection.execute(statement).close()
        rows, stored, began = _rows(), 0, perf_counter()
        spent = 0.0
        while perf_counter() - began - spent < seconds:
            # Making rows is not what is measured.
            before = perf_counter()
            some = [next(rows) for _ in range(batch)]
            spent += perf_counter() - before
            connection.execute("BEGIN IMMEDIATE").close()
            connection.executemany(insert, some).close()
            connection.execute("COMMIT").close()
            stored += batch
        return stored / (perf_counter() - began - spent)


def _as_the_journal(folder: Path, indexed: bool) -> list[str]:
    """Statements that make an empty database as the journal does; the last one inserts a row."""
    journal = Journal.open("sqlite:///like.db", folder)
    with journal.engine.connect() as connection:
        settings = [
            f"PRAGMA {name} = {connection.exec_driver_sql(f'PRAGMA {name}').scalar_one()}"
            for name in SETTINGS
        ]
        made = connection.exec_driver_sql(
            "SELECT type, sql FROM sqlite_master WHERE tbl_name = 'events' AND sql IS NOT NULL"
        ).fetchall()
    insert = insert_new(journal.engine, events, COLUMNS)
    journal.close()
    for name in folder.glob("like.db*"):
        name.unlink()
    return [*settings, *(sql for kind, sql in made if indexed or kind == "table"), insert]


def _rows() -> Iterator[tuple[object, ...]]:
    number = 0
    while True:
        number += 1
        yield (
            f"bare-{number // 50}-{number % 50}", "app", f"u{number * 7919 % USERS}", "click",
            MICROS, '{"place":7}', f"i{number * 31 % ITEMS}", os.urandom(16), MICROS,
        )  # fmt: skip
