"""What plain SQLite finds in a journal: whether it is whole, and the ids of its events."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

FILES = ("journal.db", "journal.db-wal", "journal.db-journal")
"""A journal's database and its logs, apart from what is rebuilt whenever it is opened."""


@dataclass(frozen=True, slots=True)
class Stored:
    """``rows`` events with these different ``ids``; whether the database ``is_whole``."""

    is_whole: bool
    rows: int
    ids: frozenset[str]

    @property
    def twice(self) -> int:
        """Rows beyond one for each id."""
        return self.rows - len(self.ids)


def stored(journal: Path) -> Stored:
    """Opens the files as any program would: what their log holds is recovered."""
    try:
        with closing(sqlite3.connect(journal)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            told = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'events'")
            found: list[str] = []
            if tables.fetchone():
                found = [row[0] for row in connection.execute("SELECT id FROM events")]
    except sqlite3.DatabaseError:
        return Stored(False, 0, frozenset())
    return Stored(told == ["ok"], len(found), frozenset(found))


def put(left: Mapping[str, bytes], folder: Path) -> None:
    """The files of a journal as a power cut left them, and no others."""
    folder.mkdir(exist_ok=True)
    for path in folder.glob(f"{FILES[0]}*"):
        path.unlink()
    for name, content in left.items():
        (folder / name).write_bytes(content)


def copied(data: Path, folder: Path) -> Path:
    """A copy of the journal's files, made while nothing has them open; the database's path."""
    found = [data / name for name in FILES if (data / name).exists()]
    put({path.name: path.read_bytes() for path in found}, folder)
    return folder / FILES[0]
