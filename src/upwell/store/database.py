"""One SQL database behind a URL: SQLite by default, PostgreSQL by another URL.

All SQL is built by SQLAlchemy Core; what differs between the two databases is how a connection
promises durability (``_prepare``, ``postgres.prepare``) and how a writer excludes other writers
(``_begin``, ``postgres.begin``).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    Index,
    MetaData,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as WaitedError

from upwell.errors import StoreError
from upwell.store import postgres
from upwell.store.files import full_disk_told, private_folder
from upwell.tables import canonical_json

_SIGNS = {
    "database or disk is full": "store.disk_full",
    "No space left on device": "store.disk_full",
    "disk quota exceeded": "store.disk_full",
    "database is locked": "store.busy",
}
_SQLSTATES = {
    "53100": "store.disk_full",
    "55P03": "store.busy",
    "40P01": "store.busy",
    "42501": "store.unusable",
}
_SHOWN = 500


def connect(url: str, folder: Path) -> Engine:
    """An engine for ``url``; a relative SQLite path is relative to ``folder``.

    Raises StoreError ``store.bad_url`` when the URL cannot be used, ``store.no_driver`` where
    the package for PostgreSQL is absent.
    """
    try:
        location = make_url(url)
        if location.drivername in postgres.NAMES:
            return _postgresql(location)
        if location.get_backend_name() == "sqlite":
            return _sqlite(location, folder)
        raise StoreError("store.bad_url", problem=location.drivername)
    except (ArgumentError, ValueError, NoSuchModuleError, ModuleNotFoundError) as error:
        # The cause could show parts of a password.
        raise StoreError("store.bad_url", problem=type(error).__name__) from None


def _postgresql(location: URL) -> Engine:
    try:
        engine = create_engine(
            postgres.location(location),
            paramstyle="format",
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
        )
    except ImportError as error:
        raise StoreError("store.no_driver", problem=error.name or "libpq") from error
    event.listen(engine, "connect", postgres.prepare)
    return engine


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
        "secure_delete = ON",
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
    postgres.begin(connection)


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
def in_turn(engine: Engine) -> Iterator[None]:
    """A block that one thread of one process runs at a time; it may read and write."""
    if engine.dialect.name == "postgresql":
        with told(), engine.connect() as connection:
            postgres.take_turns(connection)
            yield
        return
    with Path(f"{engine.url.database}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_tables(engine: Engine, tables: MetaData) -> None:
    """Make tables and indexes that are absent, also where other processes begin just then.

    Where that fails no connection is left open.
    """
    try:
        if _is_whole(engine, tables):
            return
        with writing(engine) as connection:
            tables.create_all(connection)
            for index in _indexes(tables):
                index.create(connection, checkfirst=True)
    except StoreError:
        let_go(engine)
        raise


def let_go(engine: Engine) -> None:
    """Close every connection: those in use as soon as they are given back."""
    event.listen(engine.pool, "checkin", lambda _, record: record.invalidate())
    engine.dispose()


def _is_whole(engine: Engine, tables: MetaData) -> bool:
    with told():
        found = inspect(engine).get_multi_indexes()
    there = {name for _, name in found}
    known = {index["name"] for indexes in found.values() for index in indexes}
    wanted = {str(index.name) for index in _indexes(tables)}
    return set(tables.tables) <= there and wanted <= known


def _indexes(tables: MetaData) -> list[Index]:
    return [index for table in tables.tables.values() for index in table.indexes]


@contextmanager
def told() -> Iterator[None]:
    """Turn the database's operational failures into StoreErrors that say what to do."""
    try:
        with full_disk_told():
            yield
    except WaitedError as error:
        raise StoreError("store.busy") from error
    except DBAPIError as error:
        found = _told(error)
        if found is None:
            raise
        raise found from error


def _told(error: DBAPIError) -> StoreError | None:
    """What to say of the database's failure; None where a statement of ours is at fault."""
    problem = " ".join(str(error.orig).split()).rstrip(".")
    code = next((code for sign, code in _SIGNS.items() if sign in problem), None)
    code = _SQLSTATES.get(getattr(error.orig, "sqlstate", None) or "", code)
    if isinstance(error, OperationalError | InternalError) or error.connection_invalidated:
        code = code or "store.unusable"
    return None if code is None else StoreError(code, problem=problem[:_SHOWN])


def is_storable(text: str) -> bool:
    r"""Whether a text can be in a database: PostgreSQL takes no NUL, none takes half a character.

    >>> [is_storable(text) for text in ("naïve 😀", "a\0", "\ud83d")]
    [True, False, False]
    """
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def insert_new(engine: Engine, table: Table, columns: Sequence[str]) -> str:
    """SQL that inserts rows of ``columns`` and leaves rows that exist already as they are."""
    return _insert_new(engine.dialect, table, tuple(columns))


@lru_cache(64)
def _insert_new(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> str:
    """Putting a statement together takes as long as running it over a few rows."""
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    chosen = make(table).on_conflict_do_nothing()
    return str(chosen.compile(dialect=dialect, column_keys=list(columns)))


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
