"""Does it stay fast and small? Synthetic events through import, lake and snapshot, to ten million.

Each size runs in a process of its own, whose peak memory is the figure. The behaviour stage and
the same features in polars read the same Parquet file, one after the other, each in a process of
its own on the same cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter

import pyarrow as pa

from bench.rows import Row, publish
from bench.synthetic import events, world_for

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
MEMORY_GIB = 4.0
LINEAR = 1.5
"""Seconds a row may grow by this factor from the second largest size to the largest."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(size: int) -> dict[str, float]:
    """Seconds of each step at one size, and the peak memory of this process in GiB."""
    from upwell import loop, wiring
    from upwell.records import PURPOSES
    from upwell.service import Upwell
    from upwell.store.project import create_project, open_project

    with TemporaryDirectory() as name:
        project = open_project(create_project(Path(name) / "scale", "scale"))
        service, took = Upwell(project), {}
        began = perf_counter()
        for batch in _batches(size):
            service.capture(batch, source="bench", now=NOW)
        users = [f"u{number}" for number in range(world_for(size).users)]
        service.consent(users, PURPOSES, since=NOW)
        took["import"] = perf_counter() - began
        began = perf_counter()
        turn = wiring.begin(project, None, 0, NOW)
        took["drain"] = perf_counter() - began
        began = perf_counter()
        wiring.freeze(project, turn, loop.quiet)
        took["snapshot"] = perf_counter() - began
    took["peak_gib"] = getrusage(RUSAGE_SELF).ru_maxrss / 2**20
    return took


def behaviour(engine: str, size: int) -> dict[str, float]:
    """CPU and wall seconds of the features of ``size`` events by ``upwell`` or ``polars``."""
    import duckdb
    import polars as pl
    from pyarrow import parquet as pq

    from bench import polars_features
    from upwell.stages.behaviour.features import features

    with TemporaryDirectory() as name:
        path = Path(name) / "events.parquet"
        tables = (pa.Table.from_batches([batch]) for batch in _batches(size))
        seq, writer = 0, None
        for table in tables:
            numbered = table.append_column("seq", pa.array(range(seq, seq + table.num_rows)))
            writer = writer or pq.ParquetWriter(path, numbered.schema)
            writer.write_table(numbered)
            seq += table.num_rows
        if writer:
            writer.close()
        began = perf_counter()
        if engine == "polars":
            polars_features.behaviour(pl.scan_parquet(path), 7.0).collect()
        else:
            con = duckdb.connect(config={"temp_directory": name, "memory_limit": "2GiB"})
            features(con, con.read_parquet(str(path)), 7.0).to_arrow_table()
    return {"seconds": perf_counter() - began}


def _batches(size: int) -> Iterator[pa.RecordBatch]:
    """The synthetic events with the Event columns, facts about items first."""
    world = world_for(size)
    names = pa.array([f"i{number}" for number in range(world.items)])
    genres = [f'{{"title":"T {n}","genres":["g{n % 8}"]}}' for n in range(world.items)]
    at = pa.array([1_600_000_000_000_000] * world.items).cast(pa.timestamp("us", tz="UTC"))
    yield _events({"id": names, "kind": "item", "at": at, "item": names, "payload": genres})
    for batch in events(size, world, 0):
        columns = {name: batch[name] for name in ("id", "user", "kind", "at", "item", "value")}
        yield _events(columns)


def _events(columns: dict[str, object]) -> pa.RecordBatch:
    size = len(pa.array(columns["at"]))
    texts = {"source": "bench", "user": "", "payload": "{}"}
    filled = {name: pa.repeat(text, size) for name, text in texts.items()}
    filled |= {"prediction": pa.nulls(size, pa.string()), "value": pa.nulls(size, pa.float64())}
    for name, column in columns.items():
        filled[name] = pa.repeat(column, size) if isinstance(column, str) else pa.array(column)
    return pa.RecordBatch.from_pydict(filled)


def _apart(*arguments: str) -> dict[str, float]:
    """The figures that this module prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.scale", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """All sizes, then the comparison with polars, and the table."""
    rows: list[Row] = []
    per_row: list[float] = []
    for size in SIZES:
        took = _apart("run", str(size))
        total = took["import"] + took["drain"] + took["snapshot"]
        per_row.append(total / size)
        rows += [Row(f"{size:,} events {step}, s", took[step]) for step in ("import", "drain")]
        rows.append(Row(f"{size:,} events snapshot, s", took["snapshot"]))
        rows.append(Row(f"{size:,} events, rows/s in all", size / total))
        peak, target = took["peak_gib"], f"at most {MEMORY_GIB:g}"
        label = f"{size:,} events peak memory, GiB"
        rows.append(Row(label, peak, None, None, target, peak <= MEMORY_GIB))
        print(f"{size:,} events are done", flush=True)
    growth = per_row[-1] / per_row[-2]
    label = "seconds a row, largest to second largest"
    rows.append(Row(label, growth, None, None, f"at most {LINEAR:g}", growth <= LINEAR))
    rows += _comparison()
    publish("scale", rows)


def _comparison() -> list[Row]:
    rows = []
    for size in SIZES[2:]:
        repeats = 3 if size < SIZES[-1] else 1
        ours = sorted(_apart("behaviour", "upwell", str(size))["seconds"] for _ in range(repeats))
        polars = sorted(_apart("behaviour", "polars", str(size))["seconds"] for _ in range(repeats))
        ratio = polars[repeats // 2] / ours[repeats // 2]
        rows.append(Row(f"{size:,} events behaviour, s", ours[repeats // 2]))
        rows.append(Row(f"{size:,} events behaviour in polars, s", polars[repeats // 2]))
        label = f"{size:,} events behaviour, polars' time over ours"
        rows.append(Row(label, ratio, None, None, "at least 1", ratio >= 1))
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        print(json.dumps(run(int(sys.argv[2]))))
    elif sys.argv[1:2] == ["behaviour"]:
        print(json.dumps(behaviour(sys.argv[2], int(sys.argv[3]))))
    else:
        main()
