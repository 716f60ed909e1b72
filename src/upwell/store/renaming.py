"""Everything that is stored under users' pseudonyms, written anew under others.

Files are made aside first, and nothing that is read changes; then one transaction renames what
the database holds and lets the lake's manifest name the new files; then they move to their
places. Until that transaction all is as it was; after it nothing is left to do but to move.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
from duckdb import (
    ColumnExpression,
    DuckDBPyConnection,
    Expression,
    FunctionExpression,
    InvalidInputException,
)
from duckdb.func import ARROW
from duckdb.sqltypes import VARCHAR
from pyarrow import compute as pc
from pyarrow import parquet as pq
from sqlalchemy import Connection, delete, func, insert, select, update

from upwell.errors import StoreError
from upwell.records import ModelVersion
from upwell.store import schema as sql
from upwell.store.database import reading, writing
from upwell.store.files import full_disk_told, private_folder, publish, sha256_of, staging
from upwell.store.journal import Journal
from upwell.store.models import Models
from upwell.store.snapshots import SPLITS, Snapshots
from upwell.store.veil import Change, Veil
from upwell.tables import Dataset

Name: TypeAlias = Callable[[str], str]
Done: TypeAlias = Callable[[], None]
"""Called after each file."""
VEIL = "names"
"""The fact that tells under which layer the users in this database go."""
_PSEUDONYM = "^[0-9a-f]{32}$"
_TOKEN = re.compile("(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_ROWS = 100_000
_BATCH = 10_000


def named(users: pa.ChunkedArray, name: Name) -> pa.Array:
    """A column of users under other names."""
    coded = users.combine_chunks().dictionary_encode()
    names = [name(user) for user in coded.dictionary.to_pylist()]
    return pa.array(names, pa.string()).take(coded.indices)


def first_name(con: DuckDBPyConnection, veil: Veil) -> Expression | None:
    """Of a relation, its users as they were before any layer; None where there is none.

    What is drawn by a user's name (the frozen test, say) is drawn by this one, which never changes.
    """
    if not veil.fingerprint:
        return None
    lifted, called = Change(veil, Veil()).name, "first_name"

    def first(users: pa.ChunkedArray) -> pa.Array:
        return named(users, lifted)

    # Asked again, the same connection has it already.
    with suppress(InvalidInputException):
        con.remove_function(called)
    con.create_function(called, first, [VARCHAR], VARCHAR, type=ARROW)
    return FunctionExpression(called, ColumnExpression("user"))


def lake_paths(journal: Journal) -> list[str]:
    """The files of the lake, below its folder."""
    with reading(journal.engine) as connection:
        return sorted(connection.execute(select(sql.lake_files.c.path)).scalars())


def rows_in(files: list[Path]) -> int:
    """How many rows of Parquet files are of a pseudonym."""
    return sum(_pseudonyms(pq.read_table(path, columns=["user"])["user"]) for path in files)


def rows_frozen(snapshots: Snapshots) -> int:
    """How many rows of all snapshots that can be read are of a pseudonym."""
    found = [_read(snapshots, name) for name in snapshots.names()]
    splits = [getattr(data, part)["user"] for data in found if data for part in SPLITS]
    return sum(map(_pseudonyms, splits))


def records(journal: Journal) -> int:
    """How many rows of the database tell of users who were forgotten or excluded."""
    with reading(journal.engine) as connection:
        tables = (sql.erasures, sql.erased_events, sql.exclusions)
        return sum(
            connection.execute(select(func.count()).select_from(one)).scalar_one()
            for one in tables
        )  # fmt: skip


def everybody(files: list[Path], snapshots: Snapshots) -> set[str]:
    """The pseudonyms in these Parquet files and in all snapshots that can be read."""
    columns = [pq.read_table(path, columns=["user"])["user"] for path in files]
    frozen = [_read(snapshots, name) for name in snapshots.names()]
    columns += [getattr(data, part)["user"] for data in frozen if data for part in SPLITS]
    return {user for column in columns for user in pc.unique(column).to_pylist()}


def write_lake(lake: Path, paths: list[str], aside: Path, name: Name, done: Done) -> dict[str, str]:
    """Write the lake's files anew below ``aside``; returns the new path of each old one."""
    moves = {}
    for path in paths:
        place, _, numbers = path.rpartition("-")[0].rpartition("/")
        with staging(aside) as temporary:
            made = temporary / "rows"
            _rewrite(lake / path, made, name)
            moves[path] = f"{place}/{numbers}-{sha256_of(made)[:16]}.parquet"
            publish(made, private_folder(aside / place) / Path(moves[path]).name)
        done()
    return moves


def write_files(files: list[Path], aside: Path, name: Name, done: Done) -> None:
    """Write Parquet files with a column ``user`` anew below ``aside``, under the same names."""
    for path in files:
        with staging(aside) as temporary:
            _rewrite(path, temporary / path.name, name)
            publish(temporary / path.name, aside / path.name)
        done()


def write_snapshots(snapshots: Snapshots, aside: Path, name: Name, done: Done) -> None:
    """Freeze all snapshots anew in ``aside``, each with its heir; what cannot be read has none."""
    heirs = Snapshots(private_folder(aside))
    for frozen in snapshots.names():
        data = _read(snapshots, frozen)
        heir = ""
        if data is not None:
            old = snapshots.snapshot(frozen)
            parts = {part: _under(getattr(data, part), name) for part in SPLITS}
            parts["items"] = data.items
            heir = heirs.write(parts, old.task, old.at, old.watermark).id
        if heir != frozen:
            heirs.bequeath(frozen, heir)
        done()


def write_models(
    models: Models, versions: Sequence[ModelVersion], aside: Path, name: Name, done: Done
) -> dict[str, str]:
    """Write models that name users anew in ``aside``; returns the new digest of each version."""
    digests = {}
    for one in versions:
        digest = models.rewrite(
            one.path, one.digest, Models(aside), lambda text: _TOKEN.sub(lambda m: name(m[0]), text)
        )
        if digest is not None:
            digests[one.id] = digest
        done()
    return digests


def commit(
    journal: Journal,
    change: Change,
    moves: Mapping[str, str],
    digests: Mapping[str, str],
    told: Mapping[str, str],
) -> None:
    """Rename what the database holds, and let it name the new files and models, in one step.

    ``told`` are facts to keep of it.
    """
    files, facts, versions = sql.lake_files, sql.facts, sql.versions
    with writing(journal.engine) as connection:
        rename_records(connection, change)
        for old, new in moves.items():
            connection.execute(update(files).where(files.c.path == old).values(path=new))
        for version, digest in digests.items():
            here = versions.c.id == version
            connection.execute(update(versions).where(here).values(digest=digest))
        here = facts.c.name == VEIL
        connection.execute(update(facts).where(here).values(value=change.new.fingerprint))
        connection.execute(insert(facts), [{"name": n, "value": text} for n, text in told.items()])


def rename_records(connection: Connection, change: Change) -> None:
    """Rename who was forgotten and who is excluded, and what is refused for ever."""
    for table, column in ((sql.erasures, "user"), (sql.exclusions, "name")):
        chosen = select(table.c.seq, table.c[column])
        if table is sql.exclusions:
            chosen = chosen.where(table.c.what == "user")
        for seq, user in connection.execute(chosen).fetchall():
            here = table.c.seq == seq
            connection.execute(update(table).where(here).values({column: change.name(user)}))
    erasures, events = sql.erasures, sql.erased_events
    digests = select(erasures.c.seq, erasures.c.digest)
    for seq, digest in connection.execute(digests).fetchall():
        changed = change.block(bytes(digest))
        connection.execute(update(erasures).where(erasures.c.seq == seq).values(digest=changed))
    found = [bytes(one) for one in connection.execute(select(events.c.digest)).scalars()]
    connection.execute(delete(events))
    for start in range(0, len(found), _BATCH):
        part = [{"digest": change.block(one)} for one in found[start : start + _BATCH]]
        connection.execute(insert(events), part)


def move_in(aside: Path, folder: Path) -> None:
    """Move every finished file below ``aside`` to the same place in ``folder``."""
    for path in sorted(aside.rglob("*.parquet")):
        to = folder / path.relative_to(aside)
        private_folder(to.parent)
        publish(path, to)


def _pseudonyms(users: pa.ChunkedArray) -> int:
    return pc.sum(pc.match_substring_regex(users, _PSEUDONYM)).as_py() or 0


def _read(snapshots: Snapshots, name: str) -> Dataset | None:
    try:
        return snapshots.read(name)
    except StoreError:
        return None


def _under(rows: pa.Table, name: Name) -> pa.Table:
    place = rows.schema.get_field_index("user")
    return rows.set_column(place, rows.schema.field(place), named(rows["user"], name))


def _rewrite(path: Path, to: Path, name: Name) -> None:
    with (
        full_disk_told(),
        pq.ParquetFile(path) as old,
        pq.ParquetWriter(to, old.schema_arrow, compression="zstd") as writer,
    ):
        for batch in old.iter_batches(_ROWS):
            rows = _under(pa.Table.from_batches([batch]), name)
            writer.write_table(rows, row_group_size=_ROWS)
