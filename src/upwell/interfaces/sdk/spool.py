"""Rows that wait to be sent, oldest first: in a file that outlives the process, or in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from upwell.errors import InterfaceError


class Spool:
    """A bounded queue of rows of JSON; safe among threads.

    What ``put`` has taken is in the file, so a process that is killed sends it when it runs
    again. One process at a time uses a file.
    """

    def __init__(self, path: Path | None, most: int) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._most, self._lock = most, Lock()
        self._file = sqlite3.connect(str(path or ":memory:"), check_same_thread=False)
        with self._lock, self._file:
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS waiting (seq INTEGER PRIMARY KEY AUTOINCREMENT, "
                "row TEXT NOT NULL)"
            )
            self._count = self._waiting()

    def __len__(self) -> int:
        return self._count

    def put(self, row: str) -> None:
        """Keep a row. Raises InterfaceError ``sdk.full`` where ``most`` rows wait already."""
        with self._lock, self._file:
            if self._count >= self._most:
                raise InterfaceError("sdk.full", most=self._most)
            self._file.execute("INSERT INTO waiting (row) VALUES (?)", (row,))
            self._count += 1

    def oldest(self, count: int) -> list[tuple[int, str]]:
        """Up to ``count`` rows, oldest first, with the number that removes each."""
        query = "SELECT seq, row FROM waiting ORDER BY seq LIMIT ?"
        with self._lock:
            return [(int(seq), str(row)) for seq, row in self._file.execute(query, (count,))]

    def remove(self, sent: Sequence[int]) -> None:
        """Forget rows that were sent."""
        with self._lock, self._file:
            gone = ((seq,) for seq in sent)
            self._file.executemany("DELETE FROM waiting WHERE seq = ?", gone)
            self._count = self._waiting()

    def close(self) -> None:
        """Let go of the file; what waits in it stays."""
        with self._lock:
            self._file.close()

    def _waiting(self) -> int:
        return int(self._file.execute("SELECT count(*) FROM waiting").fetchone()[0])
