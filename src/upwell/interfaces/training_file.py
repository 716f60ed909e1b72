"""Rows to train with, in one file that other trainers read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from upwell.stages.dataset.training_files import Record, shape
from upwell.store.files import full_disk_told, publish, staging

_AT_ONCE = 1024


def write(path: Path, form: str, records: Iterable[Record]) -> int:
    """Write the file whole or not at all: Parquet where its name says so, else JSON lines.

    Returns how many records it has.
    """
    with full_disk_told(), staging(path.absolute().parent) as aside:
        temporary = aside / "rows"
        made = _parquet if path.suffix == ".parquet" else _lines
        count = made(temporary, form, records)
        publish(temporary, path)
    return count


def _lines(path: Path, form: str, records: Iterable[Record]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as lines:
        for one in records:
            lines.write(f"{json.dumps(one, ensure_ascii=False)}\n")
            count += 1
    return count


def _parquet(path: Path, form: str, records: Iterable[Record]) -> int:
    left, count = iter(records), 0
    with parquet.ParquetWriter(path, shape(form), compression="zstd") as writer:
        while block := list(islice(left, _AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(block, schema=shape(form)))
            count += len(block)
    return count
