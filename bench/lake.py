"""Which format the lake should have: Parquet with a manifest in SQL, or Delta Lake.

    python -m bench.lake [rows]

Needs ``pip install deltalake`` beside Upwell. Three things a lake does are timed on the same rows,
each the median of five runs on a fresh folder: appending in batches, reading everything once
through DuckDB, and rewriting what holds one user (erasure). The first format is tried twice: with
the files that a drain writes, and with hive partitions by day.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from pyarrow import compute as pc
from pyarrow import dataset as ds
from pyarrow import parquet as pq
from sqlalchemy import Column, Engine, MetaData, Table, Text, delete, insert, select

from bench.rows import Row, publish
from upwell.records import Event
from upwell.store.database import connect, writing
from upwell.store.files import publish as into_place
from upwell.store.files import staging
from upwell.tables import TIME, schema

BATCHES = 10
RUNS = 5
USERS = 50_000
DAYS = 100
ERASED = "u00007"
MANIFEST = Table("manifest", MetaData(), Column("path", Text, primary_key=True))
Seconds = dict[str, float]
ZSTD = WriterProperties(compression="ZSTD")


def events(rows: int) -> list[pa.Table]:
    """Batches of events in order of time, users drawn uniformly."""
    rng = np.random.default_rng(0)
    users = np.array([f"u{n:05}" for n in range(USERS)])
    at = np.sort(rng.integers(0, DAYS * 86_400, rows)) + 1_600_000_000
    table = pa.table(
        {
            "id": [f"e{n:09}" for n in range(rows)],
            "source": pa.repeat("web", rows),
            "user": users[rng.integers(0, USERS, rows)],
            "kind": pa.repeat("click", rows),
            "at": pa.array(at * 1_000_000).cast(TIME),
            "payload": pa.repeat("{}", rows),
            "prediction": pa.nulls(rows, pa.string()),
            "item": pc.cast(pa.array(rng.integers(0, 20_000, rows)), pa.string()),
            "value": np.ones(rows),
        },
        schema=schema(Event),
    )
    size = -(-rows // BATCHES)
    return [table.slice(start, size) for start in range(0, rows, size)]


@contextmanager
def timed(into: Seconds, name: str) -> Iterator[None]:
    """Add the seconds that the block took."""
    start = time.perf_counter()
    yield
    into[name] = into.get(name, 0.0) + time.perf_counter() - start


def scanned(relation: duckdb.DuckDBPyRelation) -> int:
    """Events of a relation, after a pass over what a turn reads."""
    found = relation.aggregate("count(*), count(DISTINCT user), sum(value), max(item)").fetchall()
    return int(found[0][0])


def check(before: int, after: int, batches: list[pa.Table]) -> None:
    """Nothing lost, the user gone, nothing else gone."""
    erased = sum(pc.sum(pc.equal(batch["user"], ERASED)).as_py() for batch in batches)
    total = sum(map(len, batches))
    if (before, after) != (total, total - erased):
        raise SystemExit(f"wrong counts: {before}, {after} of {total} less {erased}")


def parquet(folder: Path, batches: list[pa.Table]) -> Seconds:
    """One file a drain: forced to disk, renamed, then named by a row in SQL."""
    took: Seconds = {}
    engine = connect("sqlite:///manifest.db", folder)
    MANIFEST.metadata.create_all(engine)
    with timed(took, "append"):
        for number, batch in enumerate(batches):
            _put(engine, folder, batch, f"{number}.parquet", "")
    con = duckdb.connect()
    with timed(took, "scan"):
        before = scanned(con.read_parquet(_listed(engine, folder)))
    with timed(took, "erase"):
        for path in _listed(engine, folder):
            rows = pq.read_table(path)
            kept = rows.filter(pc.not_equal(rows["user"], ERASED))
            if len(kept) < len(rows):
                old = Path(path).name
                _put(engine, folder, kept, f"rewritten-{old}", old)
                Path(path).unlink()
    check(before, scanned(con.read_parquet(_listed(engine, folder))), batches)
    engine.dispose()
    return took


def _put(engine: Engine, folder: Path, rows: pa.Table, name: str, instead_of: str) -> None:
    with staging(folder) as temporary:
        pq.write_table(rows, temporary / name, compression="zstd", row_group_size=100_000)
        into_place(temporary / name, folder / name)
    with writing(engine) as connection:
        connection.execute(delete(MANIFEST).where(MANIFEST.c.path == instead_of))
        connection.execute(insert(MANIFEST).values(path=name))


def _listed(engine: Engine, folder: Path) -> list[str]:
    with engine.connect() as connection:
        return [
            str(folder / path) for path in connection.execute(select(MANIFEST.c.path)).scalars()
        ]


def hive(folder: Path, batches: list[pa.Table]) -> Seconds:
    """A folder a day, each drain adding a file to the days it holds; the same promises on disk."""
    took: Seconds = {}
    days = ds.partitioning(pa.schema([("day", pa.date32())]), flavor="hive")
    with timed(took, "append"):
        for number, batch in enumerate(batches):
            by_day = batch.append_column("day", pc.cast(batch["at"], pa.date32()))
            ds.write_dataset(
                by_day,
                folder,
                format="parquet",
                file_options=ds.ParquetFileFormat().make_write_options(compression="zstd"),
                partitioning=days,
                max_partitions=10_000,
                basename_template=f"{number}-{{i}}.parquet",
                existing_data_behavior="overwrite_or_ignore",
                file_visitor=lambda written: into_place(Path(written.path), Path(written.path)),
            )
    con = duckdb.connect()
    everything = str(folder / "*" / "*.parquet")
    with timed(took, "scan"):
        before = scanned(con.read_parquet(everything, hive_partitioning=True))
    with timed(took, "erase"):
        for path in sorted(folder.glob("*/*.parquet")):
            rows = pq.ParquetFile(path).read()
            kept = rows.filter(pc.not_equal(rows["user"], ERASED))
            if len(kept) < len(rows):
                with staging(folder) as temporary:
                    pq.write_table(kept, temporary / path.name, compression="zstd")
                    into_place(temporary / path.name, path)
    check(before, scanned(con.read_parquet(everything, hive_partitioning=True)), batches)
    return took


def delta(folder: Path, batches: list[pa.Table]) -> Seconds:
    """Delta Lake: append, delete and vacuum; read by DuckDB through an Arrow data set."""
    took: Seconds = {}
    with timed(took, "append"):
        for batch in batches:
            write_deltalake(folder, batch, mode="append", writer_properties=ZSTD)
    with timed(took, "scan"):
        before = scanned(_delta_rows(folder))
    with timed(took, "erase"):
        table = DeltaTable(folder)
        table.delete(f"user = '{ERASED}'", writer_properties=ZSTD)
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    check(before, scanned(_delta_rows(folder)), batches)
    return took


def _delta_rows(folder: Path) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_arrow(DeltaTable(folder).to_pyarrow_dataset())


FORMATS: dict[str, Callable[[Path, list[pa.Table]], Seconds]] = {
    "parquet + manifest": parquet,
    "parquet by day": hive,
    "delta": delta,
}


def main(rows: int = 1_000_000) -> None:
    """Time every format and publish ``results/lake.json``."""
    batches = events(rows)
    runs: dict[str, list[Seconds]] = {name: [] for name in FORMATS}
    for _ in range(RUNS):
        for name, measure in FORMATS.items():
            with tempfile.TemporaryDirectory() as folder:
                runs[name].append(measure(Path(folder), batches))
    found = []
    for verb in ("append", "scan", "erase"):
        for name, took in runs.items():
            seconds = [run[verb] for run in took]
            middle = statistics.median(seconds)
            found.append(Row(f"{verb}, {name} (s)", middle, min(seconds), max(seconds)))
    publish("lake", found)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
