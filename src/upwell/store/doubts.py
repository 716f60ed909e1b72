"""Why signals count other than as given, kept for each turn as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyRelation
from pyarrow import compute as pc
from pyarrow import parquet as pq

from upwell.records import Doubt
from upwell.store.files import full_disk_told, publish, staging
from upwell.tables import schema

_BATCH = 65_536


def keep_doubts(path: Path, doubts: DuckDBPyRelation) -> None:
    """Keep the doubts of a turn (Doubt columns and ``seq``) at ``path``, by user; whole or not."""
    shape = schema(Doubt)
    ordered = doubts.order('"user", seq, code').select(*shape.names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging(path.parent) as temporary, full_disk_told():
        with pq.ParquetWriter(temporary / "doubts", shape, compression="zstd") as writer:
            for batch in ordered.to_arrow_reader(_BATCH):
                writer.write_table(pa.Table.from_batches([batch]).cast(shape))
        publish(temporary / "doubts", path)


def doubts_of(path: Path, user: str) -> pa.Table:
    """The doubts about one user (a pseudonym); none where the turn kept no file."""
    if not path.exists():
        return schema(Doubt).empty_table()
    return pq.read_table(path, schema=schema(Doubt), filters=[("user", "=", user)])


def forget_doubts(folder: Path, users: Sequence[str]) -> int:
    """Remove the doubts about these users (pseudonyms) of every turn; returns how many."""
    gone, of_them = 0, pc.is_in(pc.field("user"), pa.array(users, pa.string()))
    for path in sorted(folder.glob("*.parquet")):
        told = pq.read_table(path)
        left = told.filter(~of_them)
        if len(left) < len(told):
            gone += len(told) - len(left)
            with staging(folder) as temporary, full_disk_told():
                pq.write_table(left, temporary / "doubts", compression="zstd")
                publish(temporary / "doubts", path)
    return gone


def doubts_by_code(path: Path) -> pa.Table:
    """``code``, ``signals`` and ``users``: how many each reason has touched, most first."""
    empty = schema(Doubt).empty_table()
    found = pq.read_table(path, columns=["code", "user"]) if path.exists() else empty
    counted = found.group_by("code").aggregate([("user", "count"), ("user", "count_distinct")])
    counted = counted.select(["code", "user_count", "user_count_distinct"])
    named = counted.rename_columns(["code", "signals", "users"])
    return named.sort_by([("signals", "descending"), ("code", "ascending")])
