"""One SQL database behind a URL: SQLite by default, PostgreSQL by another URL.

All SQL is built by SQLAlchemy Core; what differs between the two databases is in ``_prepare``
(how a connection promises durability) and ``_begin`` (how a writer excludes other writers).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from upwell.errors import StoreError
from upwell.store.files import full_disk_told, private_folder
from upwell.tables import canonical_json

_WRITERS = 7_094_861
"""The advisory lock that PostgreSQL writers share; any number that no other program uses."""
_FULL = ("database or disk is full", "No space left on device", "disk quota exceeded")


def connect(url: str, folder: Path) -> Engine:
    """An engine for ``url``; a relative SQLite path is relative to ``folder``.

    Raises StoreError ``store.bad_url`` when the URL or its driver cannot be used.
    """
    try:
        location = make_url(url)
        if location.get_backend_name() == "sqlite":
            return _sqlite(location, folder)
        return create_engine(location, paramstyle="format", pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError("store.bad_url", problem=type(error).__name__) from error


def _sqlite(location: URL, folder: Path) -> Engine:
    path = folder / (location.database or "journal.db")
    engine = create_engine(location.set(database=str(path)))
    event.listen(engine, "connect", _prepare)
    private_folder(path.parent)
    with full_disk_told():
        # SQLite gives its side files the mode of the database, so that is set before it opens.
        path.touch(mode=0o600)
    return engine


def _prepare(connection: Any, _: object) -> None:
    """SQLite: a commit that returned is on disk; readers never block; one writer waits in turn."""
    connection.isolation_level = None
    for setting in (
        "busy_timeout = 30000",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -65536",
    ):
        connection.execute(f"PRAGMA {setting}").close()


def _begin(connection: Connection) -> None:
    """Begin a transaction beside which no other writer runs.

    Writers take turns, so sequence numbers become visible in the order in which they were given
    and a reader that has seen number n will never meet a smaller one later.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A write transaction: committed and on disk when the block ends, else as if never begun."""
    with told(), engine.connect() as connection:
        _begin(connection)
        yield connection
        connection.commit()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read from; a reader neither blocks a writer nor waits for one."""
    with told(), engine.connect() as connection:
        yield connection


@contextmanager
def told() -> Iterator[None]:
    """Turn the database's operational failures into StoreErrors that say what to do."""
    try:
        with full_disk_told():
            yield
    except OperationalError as error:
        problem = str(error.orig)
        if any(sign in problem for sign in _FULL):
            raise StoreError("store.disk_full") from error
        if "database is locked" in problem:
            raise StoreError("store.busy") from error
        raise StoreError("store.unusable", problem=problem) from error


def insert_new(engine: Engine, table: Table, columns: Sequence[str]) -> str:
    """SQL that inserts rows of ``columns`` and leaves rows that exist already as they are."""
    make = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    chosen = make(table).on_conflict_do_nothing()
    return str(chosen.compile(engine, column_keys=list(columns)))


def cells(rows: pa.Table) -> list[list[Any]]:
    """The columns of a table as lists of SQL values: times as microseconds, lists as JSON."""
    return [_cells(column) for column in rows.columns]


def _cells(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    listed: list[Any] = column.to_pylist()
    if pa.types.is_list(column.type):
        return [None if cell is None else canonical_json(cell) for cell in listed]
    return listed


def to_arrow(rows: Sequence[Sequence[Any]], shape: pa.Schema) -> pa.Table:
    """Rows as the database gave them to an Arrow table of ``shape``."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in shape)
    arrays = [_array(list(cells), kind.type) for cells, kind in zip(columns, shape, strict=True)]
    return pa.Table.from_arrays(arrays, schema=shape)


def _array(cells: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):
        return pa.array([None if cell is None else json.loads(cell) for cell in cells], kind)
    if pa.types.is_timestamp(kind):
        return pa.array(cells, pa.int64()).cast(kind)
    return pa.array(cells, kind)
