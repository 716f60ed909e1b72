"""PandaLM's pairs as corrections."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from upwell.errors import SourceError
from upwell.sources import pandalm


def events_of(location: str) -> list[dict[str, object]]:
    found = pa.Table.from_batches(pandalm.read(location, {})).to_pylist()
    return [row | {"payload": json.loads(row["payload"])} for row in found]


def test_what_two_of_three_prefer_is_a_correction_of_the_other(tmp_path: Path) -> None:
    pandalm.toy(tmp_path)
    first, second = events_of(str(tmp_path))
    assert first["payload"] == {"input": "Say hello.", "target": "No.", "correction": "Hello!"}
    assert second["payload"] == {"input": "Add.\n1 + 1", "target": "3", "correction": "2"}
    assert (first["user"], second["user"]) == ("asker-0", "asker-1")


@pytest.mark.parametrize("change", [{"annotator2": None}, {"annotator3": "x"}, {"annotator1": []}])
def test_a_file_of_something_else_is_told(tmp_path: Path, change: dict[str, object]) -> None:
    pandalm.toy(tmp_path)
    rows = json.loads((tmp_path / "testset-v1.json").read_text(encoding="utf-8"))
    (tmp_path / "x.json").write_text(json.dumps([rows[0] | change]), encoding="utf-8")
    with pytest.raises(SourceError, match=r"source\.bad_pairs"):
        list(pandalm.read(str(tmp_path / "x.json"), {}))


@pytest.mark.parametrize("name", ["broken.json", "broken.parquet"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{", encoding="utf-8")
    with pytest.raises(SourceError, match=r"source\.bad_pairs"):
        list(pandalm.read(str(tmp_path / name), {}))


@pytest.mark.parametrize("name", ["gone.json", "gone/folder"])
def test_where_nothing_lies_the_path_is_to_blame(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError) as refused:
        list(pandalm.read(str(tmp_path / name), {}))
    assert refused.value.code == "source.not_found"
    assert refused.value.details["place"] == str(tmp_path / name)


def test_columns_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"source\.fixed_columns"):
        list(pandalm.read(str(tmp_path), {"input": "x"}))


def test_without_a_copy_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UPWELL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("UPWELL_OFFLINE", "1")
    with pytest.raises(SourceError, match=r"source\.no_pairs"):
        list(pandalm.read("", {}))


def test_what_was_fetched_is_found_again_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandalm.toy(tmp_path)
    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UPWELL_DATA", raising=False)
    monkeypatch.delenv("UPWELL_OFFLINE", raising=False)
    monkeypatch.setattr(pandalm, "ORIGIN", (tmp_path / "testset-v1.json").as_uri())
    first = events_of("")
    monkeypatch.setenv("UPWELL_OFFLINE", "1")
    assert events_of("") == first
