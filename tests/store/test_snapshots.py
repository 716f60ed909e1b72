from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from upwell.errors import StoreError
from upwell.records import Example
from upwell.store import snapshots as snapshots_module
from upwell.store.lake import connect
from upwell.store.snapshots import Part, Snapshots
from upwell.tables import schema, to_table

AT = datetime(2024, 5, 1, tzinfo=UTC)


def examples(rows: int, first: int = 0) -> pa.Table:
    return to_table(Example, map(example, range(first, first + rows)))


def example(number: int) -> Example:
    sign = (None, 1, -1)[number % 3]
    weight = 0.0 if number % 5 == 4 else 1.0
    keys = (f"web/e{number}",)
    at = AT + timedelta(seconds=number)
    made = f"x{number:09}", f"u{number % 9}", "recommend", "", f"i{number % 11}"
    return Example(*made, sign, weight, 1.0, None, "", at, keys, (0.5, float(number)))


def parts(rows: int = 20) -> dict[str, Part]:
    items = pa.table({"item": ["i1", "i2"], "text": ["one", "two"]})
    return {
        "train": examples(rows),
        "validation": examples(5, rows),
        "test": examples(5, rows + 5),
        "items": items,
    }


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(tmp_path / "spill") as opened:
        yield opened


def test_what_was_frozen_is_read_back(tmp_path: Path) -> None:
    snapshots, given = Snapshots(tmp_path), parts()
    frozen = snapshots.write(given, "recommend", AT, 77)
    assert (frozen.task, frozen.at, frozen.watermark) == ("recommend", AT, 77)
    assert snapshots.snapshot(frozen.id) == frozen
    found = snapshots.read(frozen.id)
    for name in ("train", "validation", "test", "items"):
        assert getattr(found, name).equals(given[name])
    assert frozen.counts == {
        "train": 20,
        "validation": 5,
        "test": 5,
        "items": 2,
        "labels": 8,
        "positive": 8,
        "negative": 8,
        "context": 6,
    }


def test_the_same_rows_give_the_same_snapshot_however_they_come(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots_module, "_ROWS", 3000)
    rows = examples(10_000)
    tables = {**parts(), "train": rows}
    whole = Snapshots(tmp_path / "a").write(tables, "recommend", AT, 1)
    shuffled = pa.concat_tables([rows.slice(7000), rows.slice(0, 7000)])
    for threads in (1, 2):
        con.execute(f"SET threads = {threads}")
        streamed = {**tables, "train": con.from_arrow(shuffled).order("id")}
        found = Snapshots(tmp_path / f"b{threads}").write(streamed, "recommend", AT, 1)
        assert found == whole
    assert Snapshots(tmp_path / "c").write(tables, "rating", AT, 1).id != whole.id
    tables["train"] = rows.slice(1)
    assert Snapshots(tmp_path / "d").write(tables, "recommend", AT, 1).id != whole.id


def test_the_same_content_again_rewrites_nothing(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    first = snapshots.write(parts(), "recommend", AT, 1)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / first.id).iterdir()}
    assert snapshots.write(parts(), "recommend", AT + timedelta(days=1), 2) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert list(tmp_path.iterdir()) == [tmp_path / first.id]


@pytest.mark.parametrize("name", ["train.parquet", "items.parquet", "manifest.json"])
@pytest.mark.parametrize("harm", ["altered", "missing", "truncated"])
def test_an_altered_snapshot_is_refused(tmp_path: Path, name: str, harm: str) -> None:
    snapshots = Snapshots(tmp_path)
    frozen = snapshots.write(parts(), "recommend", AT, 1)
    path = tmp_path / frozen.id / name
    content = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        place = content.index(b"recommend") if name == "manifest.json" else len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(StoreError) as raised:
        snapshots.read(frozen.id)
    assert (raised.value.code, raised.value.details["file"]) == ("snapshot.altered", name)


@pytest.mark.parametrize("name", ["0" * 64, "../secret", ""])
def test_an_unknown_snapshot_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError) as raised:
        Snapshots(tmp_path).read(name)
    assert raised.value.code == "snapshot.missing"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(StoreError) as raised:
            Snapshots(tmp_path).write(parts(), "recommend", AT, 1)
    assert raised.value.code == "store.disk_full"
    assert list(tmp_path.iterdir()) == []


def test_an_empty_turn_can_be_frozen(tmp_path: Path) -> None:
    empty = schema(Example).empty_table()
    items = parts()["items"]
    nothing: dict[str, Part] = {
        "train": empty,
        "validation": empty,
        "test": empty,
        "items": items,
    }
    frozen = Snapshots(tmp_path).write(nothing, "recommend", AT, 0)
    assert frozen.counts["train"] == 0
    assert Snapshots(tmp_path).read(frozen.id).train.schema == schema(Example)


def test_the_manifest_is_plain_and_private(tmp_path: Path) -> None:
    frozen = Snapshots(tmp_path).write(parts(), "recommend", AT, 1)
    folder = tmp_path / frozen.id
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["files"]["train"] == frozen.train
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_leftovers_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".tmp-dead").mkdir()
    assert Snapshots(tmp_path).sweep() == 1
