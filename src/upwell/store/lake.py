"""The lake: protected events and predictions as Parquet files, drained from the journal once.

A file is forced to disk and renamed into place first; then one SQL transaction adds it to the
manifest and moves the watermark, only if the watermark still stands where the drain began.
Readers go by the manifest, so a file that a killed or beaten drain left is never read, and the
next drain removes it. Whatever kills a drain, each row is in the manifest's files once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression
from pyarrow import compute as pc
from pyarrow import parquet as pq
from sqlalchemy import func, insert, select, update

from upwell.records import Event, Prediction
from upwell.store import schema as sql
from upwell.store.database import insert_new, reading, writing
from upwell.store.files import full_disk_told, private_folder, publish, sha256_of, staging, sweep
from upwell.store.journal import SEQ, Journal
from upwell.store.removal import COLUMNS, Gone, counted, left
from upwell.tables import micros, schema

Protect = Callable[[pa.Table], pa.Table]
_CHUNK = 100_000
"""Rows in memory at a time, and in a row group; files hold many."""
_NOUNS: dict[str, pa.Schema] = {
    "events": schema(Event).append(SEQ),
    "predictions": schema(Prediction).append(SEQ),
}


@dataclass(slots=True)
class _Span:
    """What a file covers, for the manifest."""

    rows: int = 0
    first_seq: int = 0
    last_seq: int = 0
    first_at: int = 0
    last_at: int = 0

    def add(self, chunk: pa.Table) -> None:
        times = pc.min_max(chunk["at"].cast(pa.int64()))
        earliest, latest = times["min"].as_py(), times["max"].as_py()
        self.first_seq = self.first_seq or chunk["seq"][0].as_py()
        self.last_seq = chunk["seq"][-1].as_py()
        self.first_at = min(self.first_at, earliest) if self.rows else earliest
        self.last_at = max(self.last_at, latest) if self.rows else latest
        self.rows += len(chunk)


def connect(temporary: Path, memory: str = "2GiB") -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, spilling to ``temporary``; speaks UTC and never fetches an extension."""
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "TimeZone": "UTC",
            "memory_limit": memory,
            "temp_directory": str(private_folder(temporary)),
        }
    )


class Lake:
    """Columnar history of one project in ``folder``, with its manifest in the journal."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal
        self._engine = journal.engine

    def drain(self, protect: Protect, batch: int = 1_000_000) -> int:
        """Move what is new in the journal into the lake, ``batch`` rows a file.

        ``protect`` is given tables with a ``user`` column (events, then predictions) and returns
        them as they may be kept. Returns the rows moved; memory holds 100,000 of them at a time.
        """
        readers = {
            "events": self._journal.events_after,
            "predictions": self._journal.predictions_after,
        }
        moved = 0
        for noun, read in readers.items():
            while rows := self._drain_file(noun, read, protect, batch):
                moved += rows
            self._sweep(noun)
        return moved

    def watermark(self, noun: str = "events") -> int:
        """The greatest ``seq`` of ``noun`` that the lake holds; 0 when empty."""
        with reading(self._engine) as connection:
            marks = sql.lake_marks.c
            return connection.execute(select(marks.seq).where(marks.noun == noun)).scalar() or 0

    def events(
        self,
        con: duckdb.DuckDBPyConnection,
        until_seq: int | None = None,
        as_of: datetime | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Events (Event columns with pseudonyms, and ``seq``) with seq ≤ until_seq, at < as_of."""
        return self._read("events", con, until_seq, as_of)

    def predictions(
        self,
        con: duckdb.DuckDBPyConnection,
        until_seq: int | None = None,
        as_of: datetime | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """Predictions (Prediction columns with pseudonyms, and ``seq``), bounded likewise."""
        return self._read("predictions", con, until_seq, as_of)

    def remove(self, gone: Gone) -> Counter[str]:
        """Remove every row that must not stay; returns how many, by user (a pseudonym)."""
        removed: Counter[str] = Counter()
        for noun in _NOUNS:
            for path in map(Path, self._paths(noun, None, None)):
                held = counted(pq.read_table(path, columns=COLUMNS), gone)
                if held:
                    self._rewrite(noun, path, gone)
                removed.update(held)
            self._sweep(noun)
        return removed

    def sweep(self) -> int:
        """Remove what killed drains left; returns how much."""
        return sweep(self._folder)

    def drop_unlisted(self) -> None:
        """Remove the files that no row of the manifest names any more."""
        for noun in _NOUNS:
            self._sweep(noun)

    def _read(
        self,
        noun: str,
        con: duckdb.DuckDBPyConnection,
        until_seq: int | None,
        as_of: datetime | None,
    ) -> duckdb.DuckDBPyRelation:
        paths = self._paths(noun, until_seq, as_of)
        shape = _NOUNS[noun]
        if not paths:
            return con.from_arrow(shape.empty_table())
        relation = con.read_parquet(paths).select(*shape.names)
        if until_seq is not None:
            relation = relation.filter(ColumnExpression("seq") <= ConstantExpression(until_seq))
        if as_of is not None:
            relation = relation.filter(ColumnExpression("at") < ConstantExpression(as_of))
        return relation

    def _paths(self, noun: str, until_seq: int | None, as_of: datetime | None) -> list[str]:
        """The manifest's files that can hold such rows, in order of ``seq``."""
        files = sql.lake_files.c
        chosen = select(files.path).where(files.noun == noun).order_by(files.first_seq)
        if until_seq is not None:
            chosen = chosen.where(files.first_seq <= until_seq)
        if as_of is not None:
            chosen = chosen.where(files.first_at < micros(as_of))
        with reading(self._engine) as connection:
            return [str(self._folder / path) for path in connection.execute(chosen).scalars()]

    def _drain_file(
        self, noun: str, read: Callable[[int, int], pa.Table], protect: Protect, batch: int
    ) -> int:
        """Write the next file and commit it; 0 when there is nothing new."""
        start, forgotten = self.watermark(noun), self._forgotten()
        chunks = _chunks(read, start, batch)
        first = next(chunks, None)
        if first is None:
            return 0
        home = private_folder(self._folder / noun)
        span = _Span()
        with staging(self._folder) as temporary:
            aside = temporary / "rows.parquet"
            _write(aside, _NOUNS[noun], (protect(c) for c in _watched(first, chunks, span)))
            name = f"{span.first_seq:012}-{span.last_seq:012}-{sha256_of(aside)[:16]}.parquet"
            publish(aside, home / name)
        self._commit(noun, f"{noun}/{name}", start, span, forgotten)
        return span.rows

    def _forgotten(self) -> int:
        """How far users were forgotten in the journal."""
        with reading(self._engine) as connection:
            return connection.execute(select(func.max(sql.erasures.c.seq))).scalar() or 0

    def _commit(self, noun: str, path: str, start: int, span: _Span, forgotten: int) -> None:
        """Add a file to the manifest and move the watermark, unless another drain has.

        Nor where somebody was forgotten since the journal was read, whose rows it may hold.
        """
        marks = sql.lake_marks
        with writing(self._engine) as connection:
            newest = connection.execute(select(func.max(sql.erasures.c.seq))).scalar() or 0
            if newest != forgotten:
                return
            first = insert_new(self._engine, marks, ("noun", "seq"))
            connection.exec_driver_sql(first, (noun, 0))
            here = (marks.c.noun == noun) & (marks.c.seq == start)
            moved = connection.execute(update(marks).where(here).values(seq=span.last_seq))
            if moved.rowcount == 1:
                connection.execute(insert(sql.lake_files).values(**_manifest(noun, path, span)))

    def _rewrite(self, noun: str, path: Path, gone: Gone) -> None:
        """Replace a file by one without the rows that must not stay; it may be left with none."""
        with staging(self._folder) as temporary:
            aside = temporary / "rows.parquet"
            with pq.ParquetFile(path) as old:
                _write(aside, _NOUNS[noun], (left(part, gone) for part in _parts(old)))
            rows = pq.read_metadata(aside).num_rows
            numbers = path.name.rpartition("-")[0]
            name = f"{noun}/{numbers}-{sha256_of(aside)[:16]}.parquet"
            publish(aside, self._folder / name)
        here = sql.lake_files.c.path == f"{noun}/{path.name}"
        with writing(self._engine) as connection:
            connection.execute(update(sql.lake_files).where(here).values(path=name, rows=rows))

    def _sweep(self, noun: str) -> None:
        """Remove files that can never enter the manifest: up to the watermark, yet not in it.

        The folder is listed before the manifest is read: what another drain adds in between is
        in the manifest, or lies beyond the watermark.
        """
        listed = sorted((self._folder / noun).glob("*.parquet"))
        known = set(self._paths(noun, None, None))
        mark = self.watermark(noun)
        for path in listed:
            last = int(path.name.split("-")[1])
            if str(path) not in known and last <= mark:
                path.unlink(missing_ok=True)


def _manifest(noun: str, path: str, span: _Span) -> dict[str, Any]:
    return {
        "path": path,
        "noun": noun,
        "rows": span.rows,
        "first_seq": span.first_seq,
        "last_seq": span.last_seq,
        "first_at": span.first_at,
        "last_at": span.last_at,
    }


def _chunks(read: Callable[[int, int], pa.Table], start: int, batch: int) -> Iterator[pa.Table]:
    """New rows after ``start``, at most ``batch`` in all."""
    left = batch
    while left > 0:
        chunk = read(start, min(left, _CHUNK))
        if not len(chunk):
            return
        yield chunk
        start = chunk["seq"][-1].as_py()
        left -= len(chunk)


def _watched(first: pa.Table, rest: Iterator[pa.Table], span: _Span) -> Iterator[pa.Table]:
    chunk: pa.Table | None = first
    while chunk is not None:
        span.add(chunk)
        yield chunk
        chunk = next(rest, None)


def _parts(file: pq.ParquetFile) -> Iterator[pa.Table]:
    for batch in file.iter_batches(_CHUNK):
        yield pa.Table.from_batches([batch])


def _write(path: Path, shape: pa.Schema, chunks: Iterator[pa.Table]) -> None:
    with full_disk_told(), pq.ParquetWriter(path, shape, compression="zstd") as writer:
        for chunk in chunks:
            writer.write_table(chunk.select(shape.names).cast(shape), row_group_size=_CHUNK)
