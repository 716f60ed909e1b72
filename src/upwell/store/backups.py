"""A backup of the journal and the models in one zip; what it holds of a user is closed for them.

Of each user there is one box, closed with their key (see ``user_keys``); what is nobody's is plain.
The lake is not in it, for it is made anew from the journal, nor are snapshots, for each turn makes
its own. Bad rows are left out: nobody could shred what they may hold.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zipfile import ZipFile

from sqlalchemy import Connection, Table, func, select

from upwell.store import schema as sql
from upwell.store.database import insert_new, reading, writing
from upwell.store.journal import Journal

OWNED = (sql.events, sql.predictions, sql.consents)
"""Tables whose rows are of users; those among them that are of nobody are plain."""
_DERIVED = (sql.lake_files, sql.lake_marks, sql.bad_rows)
PLAIN = tuple(table for table in sql.metadata.sorted_tables if table not in (*OWNED, *_DERIVED))
_BATCH = 10_000
Cells = Sequence[Any]
Boxed = Mapping[str, Sequence[Cells]]
"""Rows of one user by the name of their table."""


def users_of(journal: Journal) -> list[str]:
    """Everybody whom the journal holds rows of, in order."""
    found: set[str] = set()
    with reading(journal.engine) as connection:
        for table in OWNED:
            found |= set(connection.execute(select(table.c.user).distinct()).scalars())
    return sorted(found - {""})


def packed(journal: Journal, user: str) -> bytes:
    """All rows of a user in one piece."""
    with reading(journal.engine) as connection:
        rows = {table.name: _rows(connection, table, user) for table in OWNED}
    return zlib.compress(json.dumps(rows, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def unpacked(piece: bytes) -> Boxed:
    """What ``packed`` has made one piece of."""
    found: Boxed = json.loads(zlib.decompress(piece).decode("utf-8", "surrogatepass"))
    return found


def write_plain(journal: Journal, archive: ZipFile) -> None:
    """Write the rows that are of no user, a file of JSON lines for each table."""
    for table in (*PLAIN, *OWNED):
        with (
            reading(journal.engine) as connection,
            archive.open(f"tables/{table.name}.jsonl", "w", force_zip64=True) as stream,
        ):
            for row in _rows(connection, table, "" if table in OWNED else None):
                stream.write(json.dumps(row).encode() + b"\n")


def read_plain(archive: ZipFile) -> Iterator[tuple[Table, Iterator[Cells]]]:
    """The tables that ``write_plain`` wrote, in an order in which they can be put back."""
    for table in (*PLAIN, *OWNED):
        with archive.open(f"tables/{table.name}.jsonl") as stream:
            yield table, map(json.loads, stream)


def put_back(journal: Journal, table: Table, rows: Iterator[Cells]) -> int:
    """Put rows into a table as they were; what stands there already stays. Returns how many."""
    names = [column.name for column in table.columns]
    statement, count = insert_new(journal.engine, table, names), 0
    with writing(journal.engine) as connection:
        for part in _parts(rows):
            connection.exec_driver_sql(statement, [tuple(map(_thawed, row)) for row in part])
            count += len(part)
        if journal.engine.dialect.name == "postgresql" and "seq" in names and count:
            # What counts the rows does not see those that bring their number along.
            counter = func.pg_get_serial_sequence(table.name, "seq")
            newest = select(func.max(table.c.seq)).scalar_subquery()
            connection.execute(select(func.setval(counter, newest)))
    return count


def _parts(rows: Iterator[Cells]) -> Iterator[list[Cells]]:
    part: list[Cells] = []
    for row in rows:
        part.append(row)
        if len(part) == _BATCH:
            yield part
            part = []
    if part:
        yield part


def _rows(connection: Connection, table: Table, user: str | None) -> list[Cells]:
    chosen = select(table).order_by(*table.primary_key.columns)
    if user is not None:
        chosen = chosen.where(table.c.user == user)
    return [[_frozen(cell) for cell in row] for row in connection.execute(chosen)]


def _frozen(cell: object) -> object:
    """A cell as JSON can hold it."""
    if isinstance(cell, bytes | memoryview):
        return {"base64": base64.b64encode(bytes(cell)).decode()}
    return cell


def _thawed(cell: Any) -> Any:
    return base64.b64decode(cell["base64"]) if isinstance(cell, dict) else cell
