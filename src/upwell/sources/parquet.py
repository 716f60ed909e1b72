"""Parquet: a file, or a folder of files.

``upwell import events.parquet --map user=uid --map at=event_timestamp``
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from upwell.records import Event
from upwell.sources._columns import ROWS, Part, events, plan
from upwell.sources._files import Progress, located, stem, told
from upwell.tables import to_table


def toy(folder: Path) -> tuple[str, int]:
    """Four purchases of two users."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        Event(
            str(n),
            "shop",
            f"u{n % 2}",
            "purchase",
            start + timedelta(days=n),
            item=f"i{n}",
            value=9.5,
        )
        for n in range(4)
    ]
    path = folder / "toy.parquet"
    parquet.write_table(to_table(Event, rows), path)
    return str(path), len(rows)


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Columns of an event, possibly of other types: intake validates.

    Raises SourceError when a file is missing, damaged or cut off, or lacks a column.
    """
    for file in located(location, ".parquet", ".pq"):
        with told(file, Progress()):
            names = parquet.read_schema(file).names
        chosen = plan(str(file), stem(file, location), names, mapping)
        yield from events(_parts(file, chosen.needed), chosen)


def _parts(file: Path, columns: list[str]) -> Iterator[Part]:
    progress = Progress()
    with told(file, progress), parquet.ParquetFile(file) as opened:
        for batch in opened.iter_batches(ROWS, columns=columns):
            yield Part(batch, range(progress.rows + 1, progress.rows + batch.num_rows + 1))
            progress.rows += batch.num_rows
