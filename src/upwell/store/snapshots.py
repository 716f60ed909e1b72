"""Snapshots: the frozen data of a turn, in a folder named by the hash of its content.

The same rows in the same order give the same bytes, hence the same id: writing them again
rewrites nothing. Reading verifies every file against the manifest.

When a user is forgotten, or rows are past their time, what holds them is frozen anew without. The
id of the old one then leads to its heir, so what was made of it still has its data, less those.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import parquet as pq

from upwell.errors import StoreError
from upwell.records import NAME, Example, Snapshot
from upwell.store.files import full_disk_told, publish, sha256_of, staging, sweep
from upwell.store.removal import COLUMNS, Gone, Holding, counted, left
from upwell.tables import Dataset, canonical_json, micros, moment, schema

Part: TypeAlias = "pa.Table | duckdb.DuckDBPyRelation"
SPLITS = ("train", "validation", "test")
MANIFEST = "manifest.json"
HEIR = ".heir"
ITEMS = pa.schema([pa.field("item", pa.string()), pa.field("text", pa.string())])
_SHAPES: dict[str, pa.Schema] = {**{name: schema(Example) for name in SPLITS}, "items": ITEMS}
_ROWS = 65_536
"""Rows in a row group, and in memory at a time."""


class Snapshots:
    """Content-addressed folders of Parquet files under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, parts: Mapping[str, Part], task: str, at: datetime, watermark: int) -> Snapshot:
        """Freeze ``train``, ``validation``, ``test`` (Example columns) and ``items`` (item, text).

        Rows are streamed in the order given. ``counts`` has the rows of each part, and of the
        splits together how many are ``labels``, ``positive``, ``negative`` and ``context``
        (weight 0). Content that exists already keeps its first ``at`` and ``watermark``.
        """
        with staging(self._folder) as temporary:
            counts = dict.fromkeys(("labels", "positive", "negative", "context"), 0)
            files = {}
            for part, shape in _SHAPES.items():
                path = temporary / f"{part}.parquet"
                counts[part] = _write(path, shape, parts[part], counts)
                files[part] = sha256_of(path)
            content = canonical_json({"task": task, "files": files})
            name = hashlib.sha256(content.encode()).hexdigest()
            if (self._folder / name).exists():
                self._verified(name)
                return self.snapshot(name)
            manifest = {
                "id": name,
                "task": task,
                "at": micros(at),
                "watermark": watermark,
                "counts": counts,
                "files": files,
            }
            (temporary / MANIFEST).write_text(canonical_json(manifest), encoding="utf-8")
            publish(temporary, self._folder / name)
        return self.snapshot(name)

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """The record of a snapshot. Raises StoreError ``snapshot.missing`` or ``.altered``."""
        manifest = self._manifest(self._current(snapshot_id))
        files = manifest["files"]
        return Snapshot(
            manifest["id"],
            manifest["task"],
            moment(manifest["at"]),
            manifest["watermark"],
            files["train"],
            files["validation"],
            files["test"],
            manifest["counts"],
        )

    def read(self, snapshot_id: str) -> Dataset:
        """The rows of a snapshot. Raises StoreError ``snapshot.altered`` naming the file."""
        folder = self._verified(self._current(snapshot_id))
        tables = {
            name: pq.read_table(folder / f"{name}.parquet", memory_map=True) for name in _SHAPES
        }
        return Dataset(**tables)

    def holding(self, gone: Gone) -> Holding:
        """Ids of the snapshots that hold rows which must not stay: how many, by user.

        None where a snapshot is altered: nobody can tell what was in it.
        """
        found: dict[str, dict[str, int] | None] = {}
        for name in (path.parent.name for path in sorted(self._folder.glob(f"*/{MANIFEST}"))):
            try:
                held = {} if self._current(name) != name else _held(self.read(name), gone)
            except StoreError:
                found[name] = None
            else:
                found |= {name: held} if held else {}
        return found

    def remove(self, gone: Gone, holding: Holding, items: pa.Array) -> None:
        """Freeze anew, without them, the snapshots ``holding`` rows that must not stay.

        ``items`` are those that others still know; no other stays. A snapshot that is altered, so
        that nothing could be made of it, goes whole.
        """
        for name, held in holding.items():
            if held is not None:
                self._replace(name, gone, items)
            else:
                self._remove(name)
        for heir in self._folder.glob(f"*{HEIR}"):
            self._remove(heir.stem)

    def names(self) -> list[str]:
        """Ids of all snapshots that have no heir."""
        found = sorted(path.parent.name for path in self._folder.glob(f"*/{MANIFEST}"))
        return [name for name in found if self._current(name) == name]

    def bequeath(self, name: str, heir: str) -> None:
        """Keep in this folder that ``name`` leads to ``heir``; to nothing where that is empty."""
        with staging(self._folder) as temporary:
            (temporary / "heir").write_text(heir, encoding="utf-8")
            publish(temporary / "heir", self._folder / f"{name}{HEIR}")

    def adopt(self, aside: Path) -> None:
        """Take over what was frozen and bequeathed in ``aside``; killed anywhere, run it again."""
        for made in sorted(path.parent for path in aside.glob(f"*/{MANIFEST}")):
            if not (self._folder / made.name).exists():
                made.replace(self._folder / made.name)
        for heir in sorted(aside.glob(f"*{HEIR}")):
            self._remove(heir.stem)
            if heir.stat().st_size:
                publish(heir, self._folder / heir.name)
            else:
                heir.unlink()

    def sweep(self) -> int:
        """Remove what killed writers left; returns how much."""
        return sweep(self._folder)

    def _replace(self, name: str, gone: Gone, items: pa.Array) -> None:
        """Freeze the snapshot's heir and let the name lead to it."""
        old, data = self.snapshot(name), self.read(name)
        parts = {part: left(getattr(data, part), gone) for part in SPLITS}
        parts["items"] = data.items.filter(pc.is_in(data.items["item"], items))
        self.bequeath(name, self.write(parts, old.task, old.at, old.watermark).id)

    def _remove(self, name: str) -> None:
        if (self._folder / name).exists():
            # Moved away whole before it is removed: a kill never leaves half of it in sight.
            with staging(self._folder) as aside:
                (self._folder / name).replace(aside / name)

    def _current(self, snapshot_id: str) -> str:
        """The id itself, or that of the heir that it leads to."""
        if not NAME.fullmatch(snapshot_id):
            raise StoreError("snapshot.missing", snapshot=snapshot_id[:80])
        while (path := self._folder / f"{snapshot_id}{HEIR}").is_file():
            snapshot_id = path.read_text(encoding="utf-8")
        return snapshot_id

    def _manifest(self, snapshot_id: str) -> dict[str, Any]:
        if not NAME.fullmatch(snapshot_id) or not (self._folder / snapshot_id).is_dir():
            raise StoreError("snapshot.missing", snapshot=snapshot_id[:80])
        try:
            text = (self._folder / snapshot_id / MANIFEST).read_text(encoding="utf-8")
            manifest: dict[str, Any] = json.loads(text)
            files = {name: manifest["files"][name] for name in _SHAPES}
            content = canonical_json({"task": manifest["task"], "files": files})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError("snapshot.altered", snapshot=snapshot_id, file=MANIFEST) from error
        if hashlib.sha256(content.encode()).hexdigest() != snapshot_id:
            raise StoreError("snapshot.altered", snapshot=snapshot_id, file=MANIFEST)
        return manifest

    def _verified(self, snapshot_id: str) -> Path:
        """The folder of a snapshot all of whose files are as they were written."""
        folder = self._folder / snapshot_id
        for name, expected in self._manifest(snapshot_id)["files"].items():
            path = folder / f"{name}.parquet"
            if not path.is_file() or sha256_of(path) != expected:
                raise StoreError("snapshot.altered", snapshot=snapshot_id, file=path.name)
        return folder


def _held(data: Dataset, gone: Gone) -> dict[str, int]:
    """How many rows of the splits must not stay, by user."""
    parts = [getattr(data, part).select(COLUMNS) for part in SPLITS]
    return counted(pa.concat_tables(parts), gone)


def _write(path: Path, shape: pa.Schema, part: Part, counts: dict[str, int]) -> int:
    """Stream one part to Parquet; adds its signs to ``counts`` and returns its rows."""
    rows = 0
    with full_disk_told(), pq.ParquetWriter(path, shape, compression="zstd") as writer:
        for group in _groups(part):
            table = group.select(shape.names).combine_chunks().cast(shape)
            writer.write_table(table, row_group_size=_ROWS)
            rows += len(table)
            if "sign" in shape.names:
                _count_signs(table, counts)
    return rows


def _groups(part: Part) -> Iterator[pa.Table]:
    """The rows in tables of exactly ``_ROWS`` (the last may be shorter).

    Batches arrive in sizes that depend on threads; equal groups make equal bytes.
    """
    stream = part.to_reader(_ROWS) if isinstance(part, pa.Table) else part.to_arrow_reader(_ROWS)
    held = stream.schema.empty_table()
    for batch in stream:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while len(held) >= _ROWS:
            yield held.slice(0, _ROWS)
            held = held.slice(_ROWS)
    if len(held):
        yield held


def _count_signs(table: pa.Table, counts: dict[str, int]) -> None:
    counted = table.filter(pc.greater(table["weight"], 0.0))["sign"]
    counts["context"] += len(table) - len(counted)
    counts["labels"] += counted.null_count
    counts["positive"] += pc.sum(pc.greater(counted, 0)).as_py() or 0
    counts["negative"] += pc.sum(pc.less(counted, 0)).as_py() or 0
