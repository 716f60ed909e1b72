"""SQLite through apsw as a driver for SQLAlchemy: the journal as it is, on a file system of ours.

``sqlite+apsw:///journal.db?vfs=name``. It behaves as Python's own ``sqlite3`` does without an
isolation level: statements commit by themselves outside of BEGIN, errors have the same classes and
words, and a checkpoint that fails after a commit is no failure of the commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import apsw
from sqlalchemy import URL
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import ConnectArgsType, DBAPIConnection, DBAPIModule

_WORDS: dict[type[apsw.Error], str] = {
    apsw.FullError: "database or disk is full",
    apsw.IOError: "disk I/O error",
    apsw.BusyError: "database is locked",
    apsw.CantOpenError: "unable to open database file",
}
_CHECKPOINT_PAGES = 1000
"""SQLite's own default."""


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except apsw.ConstraintError as error:
        raise sqlite3.IntegrityError(str(error)) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise sqlite3.DatabaseError(str(error)) from error
    except apsw.Error as error:
        raise sqlite3.OperationalError(_WORDS.get(type(error), str(error))) from error


class Cursor:
    """One statement at a time; its rows are read at once."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection, self._cursor = connection, connection.cursor()
        self._cursor.exec_trace = self._described
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1

    @property
    def lastrowid(self) -> int:
        """The integer key of the newest row."""
        return self._connection.last_insert_rowid()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        """Run a statement."""
        return self.executemany(statement, [values])

    def executemany(self, statement: str, values: Sequence[Sequence[Any]]) -> Cursor:
        """Run a statement with each of the values."""
        before, self.description = self._connection.total_changes(), None
        with _told():
            self._rows = iter(list(self._cursor.executemany(statement, values)))
        self.rowcount = -1 if self.description else self._connection.total_changes() - before
        return self

    def _described(self, cursor: apsw.Cursor, _: str, __: object) -> bool:
        found = cursor.get_description()
        self.description = [(name, *[None] * 6) for name, _ in found] or None
        return True

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows."""
        return [row for _, row in zip(range(size), self._rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return list(self._rows)

    def close(self) -> None:
        """Let go of the statement."""
        self._cursor.close(force=True)


class Connection:
    """A connection; ``isolation_level`` is there to be set, and None whatever is set."""

    isolation_level: str | None = None

    def __init__(self, path: str, vfs: str) -> None:
        with _told():
            self._connection = apsw.Connection(path, vfs=vfs)
        self._connection.set_wal_hook(_checkpoint)

    def cursor(self) -> Cursor:
        """A new cursor."""
        return Cursor(self._connection)

    def execute(self, statement: str) -> Cursor:
        """Run a statement with a cursor of its own."""
        return self.cursor().execute(statement)

    def commit(self) -> None:
        """End the transaction, if one is open."""
        self._end("COMMIT")

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        self._end("ROLLBACK")

    def _end(self, how: str) -> None:
        if self._connection.in_transaction:
            self.execute(how).close()

    def close(self) -> None:
        """Close; a last checkpoint that fails is left to whoever opens next."""
        with suppress(apsw.Error):
            self._connection.close(force=True)


def _checkpoint(connection: apsw.Connection, _: str, pages: int) -> int:
    """What SQLite does after a commit by itself, failures included."""
    if pages >= _CHECKPOINT_PAGES:
        with suppress(apsw.Error):
            connection.wal_checkpoint()
    return apsw.SQLITE_OK


class Dialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's SQLite with another driver."""

    driver = "apsw"
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> DBAPIModule:
        """What SQLAlchemy asks of a driver's module."""
        errors = {name: found for name, found in vars(sqlite3).items() if name.endswith("Error")}
        version = tuple(map(int, apsw.sqlite_lib_version().split(".")))
        made = SimpleNamespace(
            connect=Connection, paramstyle="qmark", threadsafety=1, apilevel="2.0",
            sqlite_version_info=version, Binary=bytes, **errors,
        )  # fmt: skip
        return cast("DBAPIModule", made)

    def on_connect(self) -> Callable[[DBAPIConnection], None]:
        """No functions of SQLAlchemy's own: the journal uses none."""
        return lambda _: None

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """The file and the file system."""
        return [], {"path": str(url.database), "vfs": str(url.query.get("vfs", ""))}
