"""Doubts on disk: a file a turn, whole or absent."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from upwell.errors import StoreError
from upwell.records import Doubt
from upwell.store.doubts import doubts_by_code, doubts_of, keep_doubts
from upwell.tables import to_records, to_table

DOUBTS = [
    Doubt("web/2", "bob", "clean.cap", 0.0, {"n": 9, "limit": 2}),
    Doubt("web/1", "ann", "clean.rate", 0.5, {"n": 4, "limit": 2}),
    Doubt("web/3", "ann", "clean.cap", 0.0, {"n": 9, "limit": 2}),
]


@pytest.fixture
def kept(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Path:
    path = tmp_path / "doubts" / "turn-0.parquet"
    doubts = con.from_arrow(to_table(Doubt, DOUBTS)).project("*, 0::BIGINT AS seq")
    keep_doubts(path, doubts)
    keep_doubts(path, doubts)
    return path


def test_doubts_are_told_by_user_and_by_code(kept: Path) -> None:
    assert to_records(Doubt, doubts_of(kept, "ann")) == [DOUBTS[2], DOUBTS[1]]
    assert doubts_by_code(kept).to_pylist() == [
        {"code": "clean.cap", "signals": 2, "users": 2},
        {"code": "clean.rate", "signals": 1, "users": 1},
    ]
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_turn_that_kept_none_has_none(tmp_path: Path) -> None:
    assert doubts_of(tmp_path / "none", "ann").num_rows == 0
    assert doubts_by_code(tmp_path / "none").num_rows == 0


def test_a_full_disk_leaves_nothing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("upwell.store.doubts.pq.ParquetWriter.write_table", full)
    doubts = con.from_arrow(to_table(Doubt, DOUBTS)).project("*, 0::BIGINT AS seq")
    with pytest.raises(StoreError):
        keep_doubts(tmp_path / "doubts" / "one", doubts)
    assert not list((tmp_path / "doubts").iterdir())
